"""Keeps one network address from holding more connections than it may, whatever speaks over them and however little.

gRPC shows no connection that makes no call. So this looks at the process's own sockets, as the system lists them.
"""

import asyncio
import os
import socket
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coordinator.model import limits

TICK = 1.0
"""Seconds between two looks."""

_OPEN = Path("/proc/self/fd")


class Connections:
    """The connections of devices. An address that opens more than it may loses its newest.

    Only Linux lists a process's sockets in this way. Nothing is limited elsewhere.

    Args:
        ports: where devices connect.
        most: connections that one address may hold; 0: any number.
        turned_away: is called with an address and the number of its connections that were ended.
    """

    def __init__(self, ports: Collection[int], most: int, turned_away: Callable[[str, int], None]) -> None:
        self._ports, self._most, self._turned_away = frozenset(ports), most, turned_away
        self._known: dict[int, str] = {}
        self._spare: int | None = None

    async def watch(self) -> None:
        """Looks again and again, until it is cancelled."""
        while self._most and _OPEN.is_dir():
            for address, count in (await asyncio.to_thread(self.look)).items():
                self._turned_away(address, count)
            await asyncio.sleep(TICK)

    def look(self) -> Counter[str]:
        """Ends the connections that are too many; returns how many, by address."""
        ended = Counter[str]()
        with suppress(OSError), self._spare_file():  # too many files are open: another look will do
            known, fresh = self._listed()
            held = Counter(known.values())
            for descriptor in fresh:
                with suppress(OSError), _lent(descriptor) as connection:
                    address = self._address(connection)
                    if address and held[address] >= self._most:
                        connection.shutdown(socket.SHUT_RDWR)  # its owner sees it end, and closes it
                        ended[address] += 1
                        address = ""
                    held[address] += 1
                    known[os.fstat(connection.fileno()).st_ino] = address
            self._known = known
        return ended

    def _listed(self) -> tuple[dict[int, str], list[int]]:
        """Returns the known sockets that are still open, by inode, and the descriptors of others."""
        known, fresh = dict[int, str](), list[int]()
        for name in os.listdir(_OPEN):  # noqa: PTH208 - a path for each takes long
            with suppress(OSError):
                about = os.fstat(int(name))
                if about.st_ino in self._known:
                    known[about.st_ino] = self._known[about.st_ino]
                elif stat.S_ISSOCK(about.st_mode):
                    fresh.append(int(name))
        return known, fresh

    def _address(self, connection: socket.socket) -> str:
        """Returns what the caller's address counts as; empty: it is not limited, or is not a device's."""
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return ""
        if connection.getsockname()[1] not in self._ports:
            return ""
        return limits.network(connection.getpeername()[0]) or ""

    @contextmanager
    def _spare_file(self) -> Iterator[None]:
        """Leaves room for one more open file while the block runs, also when idle connections have used all up."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        try:
            yield
        finally:
            self._spare = os.open(os.devnull, os.O_RDONLY)


@contextmanager
def _lent(descriptor: int) -> Iterator[socket.socket]:
    """Gives a socket of another owner, which stays open.

    It is not a copy: if the number has become a file of SQLite meanwhile, to close a copy would give its locks back.

    Raises:
        OSError: it is not a socket any more.
    """
    connection = socket.socket(fileno=descriptor)
    try:
        yield connection
    finally:
        connection.detach()
