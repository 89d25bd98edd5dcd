"""What both sides of the coordinator stand on: its rounds, its storage, its clock, and how decisions become durable.

The loop owns the rounds, which decide; the writing thread owns the storage, which makes decisions durable in the order
in which they were made. No caller is answered before that.
"""

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator.engine.changes import Changes
from coordinator.engine.clock import MonotonicClock
from coordinator.engine.deadlines import Deadlines
from coordinator.engine.live import LiveTask
from coordinator.engine.storage import Change, Storage
from coordinator.engine.streams import Contribution
from coordinator.engine.writer import Writer
from coordinator.errors import StoppedError
from coordinator.metrics.metrics import Gauges
from coordinator.model import pace
from coordinator.model.rounds import Closed, Effect, Reported
from coordinator.store.disk import REAL, Disk
from coordinator.store.ledger import TaskRow
from coordinator.store.transitions import Entry
from fedau2.v1 import admin_pb2

_log = logging.getLogger(__name__)

_TICK = 1.0
"""Seconds between two looks at the clock when no device calls."""

_DRAIN_TICK = 0.02
"""Seconds between two looks at the contributions on their way in."""


class Core:
    """A coordinator on an event loop, without the calls. Opened by `open`.

    Attributes:
        refusals: refused uploads so far, by name of the error.
        metrics: what is shown to Prometheus.
    """

    def __init__(self, storage: Storage, clock: Callable[[], float], tasks: Sequence[LiveTask]) -> None:
        self._storage = storage
        self._clock = clock
        self._rows = {row.task_id: row for row in storage.tasks()}
        self._running = {task.row.population: task for task in tasks}  # or paused
        self._idle = pace.Calendar()  # one for all names of populations, which callers choose
        self._writer = Writer[Change](storage.write)
        self._creating = asyncio.Lock()
        self._deadlines = Deadlines()
        self._changes = Changes()
        self._draining = False
        self.refusals: Counter[str] = Counter()
        self.metrics = storage.metrics
        self.metrics.show(self._gauges)
        for task in self._running.values():
            self.metrics.resume(task.row.task_id, task.round.live_ids())
            if task.round.state == admin_pb2.ROUND_STATE_AGGREGATING:
                self._commit(task)
        self._timer = asyncio.get_running_loop().create_task(self._keep_time())

    @classmethod
    async def open(
        cls,
        folder: Path,
        clock: Callable[[], float] | None = None,
        database: str | None = None,
        disk: Disk = REAL,
        stop: threading.Event | None = None,
        audit: Path | None = None,
    ) -> Self:
        """Opens a state folder and goes on where it was left.

        Args:
            folder: made if it is not there.
            clock: seconds since 1970, never going back; one that stands still lets nothing expire. None: the system's.
            database: SQLAlchemy URL of the ledger; None: SQLite in the folder.
            disk: what everything is written to.
            stop: once it is set, recovery ends at its next step.
            audit: keep every contribution there in the clear; for audits only.

        Raises:
            StoppedError: it was told to stop.
            FolderLockedError: another coordinator uses the folder or the ledger.
            FolderError, LedgerError, BlobLostError, LogError: they cannot be used, or are not as they were left.
            WireError, OSError: a task is of another version; the disk is full or broken.
        """
        clock = clock or MonotonicClock()
        storage = await asyncio.to_thread(Storage, folder, database, disk, audit)  # so that health checks are answered
        try:
            return cls(storage, clock, await asyncio.to_thread(storage.recover, clock(), stop or threading.Event()))
        except BaseException:
            storage.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Finishes what has been accepted, and lets go of the folder."""
        self._timer.cancel()
        self._changes.notify_all()
        if self.refusals:
            _log.info("refused uploads: %s", dict(self.refusals))
        await self._writer.close()
        self._storage.close()

    @property
    def failure(self) -> Exception | None:
        """Why the coordinator has turned itself off, or None."""
        return self._writer.failure

    async def drain(self) -> None:
        """Takes no more check-ins, and returns when no contribution is on its way in any more."""
        self._draining = True
        self._changes.notify_all()
        while self.receiving and self.failure is None:
            await asyncio.sleep(_DRAIN_TICK)

    @property
    def receiving(self) -> int:
        """Contributions that are on their way in."""
        return len(self._deadlines)

    async def failed(self) -> None:
        """Returns when the coordinator has turned itself off."""
        await self._writer.stopped.wait()

    def _live(self, row: TaskRow) -> LiveTask | None:
        task = self._running.get(row.population)
        return task if task is not None and task.row.task_id == row.task_id else None

    async def _record(
        self, task: LiveTask, effects: Sequence[Effect], contribution: Contribution | None = None
    ) -> None:
        """Queues effects at once and in order, and returns when all are durable."""
        durable, at = None, self._clock()
        for effect in effects:
            entry = Entry(task.row.task_id, task.row.round, at, effect)
            self.metrics.effect(task.row.task_id, effect)
            durable = self._writer.write(Change(entry, contribution if isinstance(effect, Reported) else None))
            if isinstance(effect, Closed):
                self._commit(task)
        if effects:
            self._changes.notify(task.row.task_id)
        if durable is not None:
            await durable

    def _commit(self, task: LiveTask) -> None:
        at = self._clock()
        job = partial(self._storage.commit, task.row.task_id, task.spec, task.round.attempt, at)
        self._writer.run(job).add_done_callback(partial(self._advance, task, at))

    def _advance(self, task: LiveTask, at: float, committed: asyncio.Future[TaskRow]) -> None:
        if committed.exception() is not None:
            return  # the coordinator has turned itself off
        row = self._rows[task.row.task_id] = committed.result()
        self.metrics.rounds.labels(row.population).inc()
        _log.info("task %s: round %d committed with %d contributions", row.task_id, row.round - 1, task.round.reported)
        if self._running.get(row.population) is not task:
            return  # stopped meanwhile
        self.metrics.round_over(row.task_id)
        if row.open:
            task.advance(row, at)
        else:
            del self._running[row.population]
        self._changes.notify(row.task_id)

    def _gauges(self) -> Gauges:
        yield "fedau2_receiving", "Contributions on their way in.", self.receiving, {}
        yield "fedau2_writer_queue", "Changes that wait to become durable.", len(self._writer), {}
        for task in list(self._running.values()):
            labels = {"population": task.row.population}
            yield "fedau2_round", "Number of the open round.", task.round.number, labels
            yield "fedau2_reported", "Contributions of the open round.", task.round.reported, labels
            yield "fedau2_live_leases", "Assignments of the open round that are out.", task.round.live, labels

    async def _keep_time(self) -> None:
        while self.failure is None:
            self._deadlines.tick(self._clock())
            for task in list(self._running.values()):
                with contextlib.suppress(StoppedError):
                    await self._record(task, task.round.tick(self._clock()))
            await asyncio.sleep(_TICK)
