"""One of several coordinators on a ledger: it stands by, and leads when no other one does."""

import asyncio
import logging
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from coordinator.commands.settings import Settings
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.limited import Limited
from coordinator.errors import CoordinatorError, LedgerError, StoppedError
from coordinator.grpc.door import StandBy
from coordinator.grpc.forwarding import Forwarding, Line
from coordinator.grpc.peers import Peers
from coordinator.grpc.server import ADMIN, GRACE, Servers
from coordinator.metrics.metrics import Gauges, Metrics
from coordinator.store import terms
from coordinator.store.disk import REAL
from coordinator.store.lease import Lease
from fedau2.wire import methods

_log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks of a stand-by at who leads."""


class Replica:
    """The state of this coordinator among the others. Made by `start`; used on one event loop.

    Attributes:
        metrics: of the time in which it stands by.
        database: the URL of the ledger for the time in which it leads.
        lost: set once this coordinator no longer leads.
    """

    def __init__(self, settings: Settings, servers: Servers, lease: Lease) -> None:
        assert settings.state is not None  # checked
        self._shared, self._servers, self._lease = settings.state, servers, lease
        self._line = Line(settings.replica_tls)
        self.metrics = Metrics()
        self.metrics.show(lambda: leading(False))
        limits, clock = settings.limits, time.time
        devices, admin = (Limited(limits.fresh(), self.metrics, clock) for _ in range(2))
        self._stand_by = StandBy(Forwarding(methods.DEVICE, self._line, devices), Forwarding(ADMIN, self._line, admin))
        self.database = lease.term_url
        self.lost = asyncio.Event()

    @classmethod
    async def start(cls, settings: Settings, servers: Servers, stack: AsyncExitStack) -> Self:
        """Begins to serve the other coordinators, and to stand by.

        Args:
            settings: are checked.
            servers: answer devices and operators.
            stack: ends everything when it is closed.

        Raises:
            CoordinatorError: the address cannot be served on, or the ledger cannot be used.
        """
        assert settings.replica is not None  # checked, as is the next
        assert settings.database is not None
        peers = Peers(servers.door.led, settings.replica, settings.replica_tls)
        await peers.server.start()
        stack.push_async_callback(peers.server.stop, GRACE)
        lease = Lease(settings.database, peers.address, settings.replica_lease)
        replica = cls(settings, servers, lease)
        stack.push_async_callback(replica._line.close)
        await replica._look()  # a ledger that cannot be used is an error at the start, and not later
        _log.info("other coordinators reach this one on %s", peers.address)
        return replica

    @property
    def leads(self) -> bool:
        """This coordinator has been given the lease."""
        return self._lease.leads

    async def stand_by(self, stop: threading.Event) -> Path:
        """Passes calls on until this coordinator leads, and returns the state folder of its term.

        Args:
            stop: ends the waiting once it is set.

        Raises:
            StoppedError: `stop` was set.
            CoordinatorError: the shared folder or the ledger cannot be used.
        """
        while not self._lease.leads:
            await asyncio.sleep(LOOK)
            if stop.is_set():
                raise StoppedError("the coordinator was stopped while it stood by")
            try:
                await self._look()
            except LedgerError as error:
                await self._follow("")
                _log.warning("it is not known who leads: %s", error)
        await self._follow("")
        loop = asyncio.get_running_loop()
        self._lease.keep(lambda: loop.call_soon_threadsafe(self.lost.set))
        folder = await asyncio.to_thread(terms.begin, self._shared, self._lease, REAL)
        _log.info("this coordinator leads, on %s", folder)
        return folder

    def release(self) -> None:
        """Gives the lease back, so that another coordinator leads at once."""
        self._lease.close()

    async def _look(self) -> None:
        leader = await asyncio.to_thread(self._lease.seek)
        await self._follow("" if self._lease.leads else leader)

    async def _follow(self, leader: str) -> None:
        if leader and leader != self._line.leader:
            _log.info("standing by; the leader is on %s", leader)
        await self._line.turn(leader)
        self._servers.stand_by(self._stand_by, led=bool(leader))

    async def settle(self, coordinator: Coordinator) -> None:
        """Removes the folders of terms that are over, once the coordinator of this one has recovered.

        Raises:
            CoordinatorError: the lease is lost.
        """
        coordinator.metrics.show(lambda: leading(True))
        try:
            await asyncio.to_thread(terms.sweep, self._shared, self._lease)
        except LedgerError:
            await self.expect_lease()
            raise

    async def expect_lease(self) -> None:
        """Returns if this coordinator still leads.

        Raises:
            CoordinatorError: it does not.
        """
        try:
            await asyncio.to_thread(self._lease.expect)
        except LedgerError as error:
            raise CoordinatorError(
                f"stopped, because this coordinator no longer leads: {error}. Everything that it acknowledged is safe. "
                "Start it again, and it stands by"
            ) from error


def leading(leads: bool) -> Gauges:
    """Yields the gauge that distinguishes the leader from the others."""
    yield "fedau2_leading", "1: this coordinator leads; 0: it stands by.", float(leads), {}
