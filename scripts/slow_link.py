"""Measures how a device gets a large model over a slow link that breaks again and again.

`python -m scripts.slow_link --rate 32000 --cut 300` starts a coordinator with a task of 13 MB. A client syncs through a
proxy until its contribution is counted. Printed is how many syncs that took, and how many bytes came twice.
"""

import argparse
import asyncio
import json
import math
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from client_sdk import FedClient, Result, TransportError
from client_sdk.testing import LocalCoordinator
from fedau2.wire import bundles, manifest

_READ = 2**14  # bytes


class Link:
    """A proxy on loopback to one server. It limits the speed from the server, and breaks connections.

    Args:
        target: the server, as host:port.
        rate: bytes a second from the server, on each connection.
        most: bytes from the server after which a connection breaks.
        cut: seconds after which a connection breaks.
        most_up: bytes to the server after which a connection breaks.

    Attributes:
        address: where it listens, as host:port.
        carried: bytes from the server, by connection.
        sent: bytes to the server, by connection.
    """

    def __init__(
        self,
        target: str,
        rate: float = math.inf,
        most: float = math.inf,
        cut: float = math.inf,
        most_up: float = math.inf,
    ) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._rate, self._most, self._cut, self._most_up = rate, most, cut, most_up
        self.address, self.carried, self.sent = "", list[int](), list[int]()

    async def serve(self, ready: Event) -> None:
        """Listens until `end` is called; sets `ready` when it does."""
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as server:
            self.address = "{}:{}".format(*server.sockets[0].getsockname())
            ready.set()
            await self._over.wait()

    def end(self) -> None:
        """Ends `serve`, which runs in another thread."""
        self._loop.call_soon_threadsafe(self._over.set)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self._host, int(self._port))
        try:
            async with asyncio.timeout(None if self._cut == math.inf else self._cut):
                await _first(
                    _carry(from_server, writer, self.carried, self._most, self._rate),
                    _carry(reader, to_server, self.sent, self._most_up),
                )
        except TimeoutError:
            pass
        finally:
            for stream in (writer, to_server):
                stream.transport.abort()


@contextmanager
def running(link: Link) -> Iterator[Link]:
    """Runs a link in a thread of its own during the block."""
    ready = Event()
    thread = Thread(target=lambda: asyncio.run(link.serve(ready)))
    thread.start()
    try:
        ready.wait()
        yield link
    finally:
        link.end()
        thread.join()


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carried: list[int], most: float, rate: float = math.inf
) -> None:
    """Carries one way of a connection to its end, and counts the bytes in a new place of `carried`."""
    number = len(carried)
    carried.append(0)
    while data := await reader.read(int(min(_READ, most - carried[number]))):
        await asyncio.sleep(len(data) / rate)
        writer.write(data)
        await writer.drain()
        carried[number] += len(data)


async def _first(*ways: Coroutine[Any, Any, None]) -> None:
    """Returns when one of the two ways of a connection has ended."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def measure(items: int, rate: float, cut: float) -> dict[str, float]:
    """Lets a client sync until its contribution is counted.

    Args:
        items: of the catalogue.
        rate: bytes a second from the coordinator.
        cut: seconds after which a connection breaks.

    Returns:
        Figures by name.
    """
    catalogue = [str(number) for number in range(items)]
    with tempfile.TemporaryDirectory() as folder, LocalCoordinator(items=catalogue) as server:
        whole = _size(server.bundle)
        with running(Link(server.address, rate, cut=cut)) as link:
            start, syncs = time.monotonic(), 0
            with FedClient.open(Path(folder) / "state", link.address, server.population) as client:
                client.record(catalogue[0])
                while not _uploads(client):
                    syncs += 1
            seconds = time.monotonic() - start
    came = sum(link.carried)
    return {
        "bundle_bytes": whole,
        "syncs": syncs + 1,
        "connections": len(link.carried),
        "seconds": round(seconds),
        "bytes_carried": came,
        "twice_or_framing": came - whole,
    }


def _size(bundle: Path) -> int:
    task = bundles.read_manifest(bundle)
    return task.ByteSize() + sum(resource.size for resource in manifest.blobs(task))


def _uploads(client: FedClient) -> bool:
    try:
        return client.sync().result is Result.UPLOADED
    except TransportError as error:
        print(error, flush=True)
        return False


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=130_000)
    parser.add_argument("--rate", type=float, default=32_000.0, help="bytes a second")
    parser.add_argument("--cut", type=float, default=300.0, help="seconds after which a connection breaks")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.items, arguments.rate, arguments.cut), indent=2))


if __name__ == "__main__":
    main()
