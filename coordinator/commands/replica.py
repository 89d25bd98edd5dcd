"""The role of a coordinator: alone on its ledger, or one of several, which stands by and leads when no other does."""

import asyncio
import logging
import threading
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

from coordinator.commands import process
from coordinator.commands.settings import Settings
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.limited import Limited
from coordinator.errors import CoordinatorError, LedgerError, StoppedError
from coordinator.grpc.door import StandBy
from coordinator.grpc.forwarding import Forwarding, Line
from coordinator.grpc.peers import Peers
from coordinator.grpc.server import ADMIN, GRACE, Servers
from coordinator.grpc.tls import Tls
from coordinator.metrics.metrics import Gauges, Metrics
from coordinator.store import term_objects, terms, timelines
from coordinator.store.disk import REAL, Disk
from coordinator.store.lease import Lease
from coordinator.store.mirror import Mirror
from coordinator.store.objects import Objects
from fedau2.wire import methods

_log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks of a stand-by at who leads."""

_LAST = 2.0
"""Seconds in which a leader that has lost the lease ends in order. The database that it waits for may be silent."""

_STOPPED = "stopped, because this coordinator no longer leads"


class Place(NamedTuple):
    """A state folder, the URL of its ledger (None: SQLite in the folder), and the disk that both are written by."""

    folder: Path
    database: str | None
    disk: Disk = REAL


class Alone:
    """A coordinator that shares its ledger with nobody, and so leads.

    Args:
        settings: are checked.

    Attributes:
        leads: this coordinator has been given the lease.
        lost: set once it no longer leads.
        metrics: of the time in which it stands by.
    """

    leads: bool = True
    metrics: Metrics | None = None

    def __init__(self, settings: Settings) -> None:
        assert settings.state is not None  # checked
        self._place = Place(settings.state, settings.database)
        self.lost = asyncio.Event()

    async def stand_by(self, stop: threading.Event) -> Place:
        """Returns the place on which the coordinator is opened."""
        return self._place

    async def settle(self, coordinator: Coordinator) -> None:
        """Does nothing."""

    async def expect_lease(self) -> None:
        """Returns."""

    def release(self) -> None:
        """Does nothing."""


class Replica:
    """The role of this coordinator among the others. Made by `start`; used on one event loop.

    Attributes:
        lost: set once this coordinator no longer leads.
        metrics: of the time in which it stands by.
    """

    def __init__(self, settings: Settings, tls: Tls | None, servers: Servers, lease: Lease) -> None:
        assert settings.state is not None  # checked
        self._state, self._servers, self._lease = settings.state, servers, lease
        self._interval = settings.replica_lease
        self._watching: asyncio.Task[None] | None = None
        self._objects = None if settings.objects is None else Objects.open(settings.objects)
        self._mirror: Mirror | None = None
        self._line = Line(tls)
        metrics, limits = Metrics(), settings.limits
        metrics.show(lambda: leading(False))
        self.metrics: Metrics | None = metrics
        devices, admin = (Limited(limits.fresh(), metrics, time.time) for _ in range(2))
        self._stand_by = StandBy(Forwarding(methods.DEVICE, self._line, devices), Forwarding(ADMIN, self._line, admin))
        self.lost = asyncio.Event()

    @classmethod
    async def start(cls, settings: Settings, tls: Tls | None, servers: Servers, stack: AsyncExitStack) -> Self:
        """Begins to serve the other coordinators, and to stand by.

        Args:
            settings: are checked.
            tls: the files that coordinators show each other; None: plaintext.
            servers: answer devices and operators.
            stack: ends everything when it is closed.

        Raises:
            CoordinatorError: the address cannot be served on, or the ledger cannot be used.
        """
        assert settings.replica is not None  # checked, as are the next
        assert settings.database is not None
        assert settings.state is not None
        if settings.objects is not None:
            stack.enter_context(term_objects.alone_in(settings.state))
        peers = Peers(servers.door.led, settings.replica, tls)
        await peers.server.start()
        stack.push_async_callback(peers.server.stop, GRACE)
        lease = Lease(settings.database, peers.address, settings.replica_lease)
        replica = cls(settings, tls, servers, lease)
        stack.push_async_callback(replica._line.close)
        await replica._look()  # a ledger that cannot be used is an error at the start, and not later
        _log.info("other coordinators reach this one on %s", peers.address)
        return replica

    @property
    def leads(self) -> bool:
        """This coordinator has been given the lease."""
        return self._lease.leads

    async def stand_by(self, stop: threading.Event) -> Place:
        """Passes calls on until this coordinator leads, and returns the place of its term.

        Args:
            stop: ends the waiting once it is set.

        Raises:
            StoppedError: `stop` was set.
            CoordinatorError: the folder, the object store or the ledger cannot be used.
        """
        doubt = ""
        while not self._lease.leads:
            await asyncio.sleep(LOOK)
            if stop.is_set():
                raise StoppedError("the coordinator was stopped while it stood by")
            try:
                await self._look()
                doubt = ""
            except LedgerError as error:
                await self._follow("")
                if not doubt:
                    _log.warning("it is not known who leads: %s", error)
                doubt = str(error)
        try:
            place = await asyncio.to_thread(self._begin)
        except CoordinatorError:
            await self.expect_lease()
            raise
        _log.info("this coordinator leads, on %s", place.folder)
        return place

    def _begin(self) -> Place:
        if self._objects is None:
            return Place(terms.begin(self._state, self._lease, REAL), self._lease.term_url)
        self._mirror = term_objects.begin(self._state, self._objects, self._lease)
        return Place(self._mirror.folder, self._lease.term_url, self._mirror)

    def release(self) -> None:
        """Gives the lease back, so that another coordinator leads at once."""
        if self._watching is not None:
            self._watching.cancel()
        self._lease.close()
        if self._mirror is not None:
            self._mirror.close()

    async def _look(self) -> None:
        leader, loop = await asyncio.to_thread(self._lease.seek), asyncio.get_running_loop()
        if self._lease.leads:
            self._lease.keep(lambda: self._end(loop))
            leader = ""
        await self._follow(leader)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        process.end_within(_LAST, _STOPPED)
        loop.call_soon_threadsafe(self.lost.set)

    async def _follow(self, leader: str) -> None:
        if leader and leader != self._line.leader:
            _log.info("standing by; the leader is on %s", leader)
        await self._line.turn(leader)
        self._servers.stand_by(self._stand_by, led=bool(leader))

    async def settle(self, coordinator: Coordinator) -> None:
        """Removes the folders of terms that are over, once the coordinator of this one has recovered.

        From now on it is watched whether a replica of the database was promoted.

        Raises:
            CoordinatorError: the lease is lost.
        """
        coordinator.metrics.show(lambda: leading(True))
        try:
            await asyncio.to_thread(self._sweep)
        except LedgerError:
            await self.expect_lease()
            raise
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Ends the lead once another coordinator leads where a replica of this database was promoted."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                with suppress(OSError):  # who cannot read what is shared cannot write there either
                    await asyncio.to_thread(timelines.expect_newest, self._objects or self._state, self._lease)
            except LedgerError as error:
                _log.error("%s", error)
                self._lease.close()
                self._end(asyncio.get_running_loop())
                return

    def _sweep(self) -> None:
        if self._mirror is None:
            terms.sweep(self._state, self._lease)
        else:
            term_objects.sweep(self._mirror, self._lease)

    async def expect_lease(self) -> None:
        """Returns if this coordinator still leads.

        Raises:
            CoordinatorError: it does not.
        """
        try:
            await asyncio.to_thread(self._lease.expect)
        except LedgerError as error:
            raise CoordinatorError(
                f"{_STOPPED}: {error}. Everything that it acknowledged is safe. Start it again, and it stands by"
            ) from error


def leading(leads: bool) -> Gauges:
    """Yields the gauge that distinguishes the leader from the others."""
    yield "fedau2_leading", "1: this coordinator leads; 0: it stands by.", float(leads), {}
