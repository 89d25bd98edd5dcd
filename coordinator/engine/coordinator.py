"""A coordinator in this process: opened on a state folder, with a service for devices and one for operators."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator.engine.admin_service import AdminService
from coordinator.engine.admissions import Admissions
from coordinator.engine.blob_reader import BlobReader
from coordinator.engine.clock import MonotonicClock
from coordinator.engine.device_service import DeviceService
from coordinator.engine.durability import Durability
from coordinator.engine.hidden_tasks import HiddenTasks
from coordinator.engine.identities import Identities
from coordinator.engine.limited import Limited
from coordinator.engine.opening import Opener
from coordinator.engine.storage import Storage
from coordinator.engine.task_table import TaskTable
from coordinator.engine.unmasking import Unmasker
from coordinator.engine.uploads import Uploads
from coordinator.engine.watchers import Watchers
from coordinator.errors import StoppedError
from coordinator.evidence.provider import Provider
from coordinator.metrics.metrics import Gauges, Metrics
from coordinator.model.defaults import KEPT_MODELS, UPLOAD_MEMORY
from coordinator.model.limits import AddressLimits
from coordinator.store.disk import REAL, Disk
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import ROUND_STATE_OPENING, ContributionNorms

_log = logging.getLogger(__name__)

_TICK = 1.0
"""Seconds between two looks at the clock when no device calls."""

_DRAIN_TICK = 0.02
"""Seconds between two looks at the contributions on their way in."""


class Coordinator:
    """The parts of a coordinator, wired together, and its time. Opened by `open`; used on one event loop.

    Attributes:
        devices: DeviceService.
        admin: AdminService.
        metrics: the metrics for Prometheus.
        operations: the log of the operators' calls.
        admin_limited: the limits of network addresses on the operators' address.
    """

    def __init__(
        self,
        storage: Storage,
        tasks: TaskTable,
        uploads: Uploads,
        metrics: Metrics,
        clock: Callable[[], float],
        unmasker: Unmasker | None = None,
        evidence: Provider | None = None,
        limits: AddressLimits | None = None,
        identity_calls: int = 0,
    ) -> None:
        self._tasks = tasks
        self._clock = clock
        self._watchers = Watchers()
        self._durability = Durability(storage, tasks, self._watchers, metrics, clock)
        blobs = BlobReader(storage.served, self._durability, metrics)
        limits = AddressLimits() if limits is None else limits
        admissions, identities = None, Identities(identity_calls, metrics, clock)
        if evidence is not None:
            run = self._durability.run
            admissions = Admissions(evidence, tasks, storage.admissions, run, metrics, clock, identities)
        self.admin_limited = Limited(limits.fresh(), metrics, clock)
        self.devices = DeviceService(
            tasks, self._durability, blobs, uploads, metrics, clock, identities, admissions, limits
        )
        self._opener = Opener(unmasker, tasks, self._durability, self._watchers, storage.served, clock)
        hidden = HiddenTasks(None if unmasker is None else unmasker.identity, storage.recorded)
        self.admin = AdminService(tasks, self._durability, self._watchers, blobs, metrics, hidden, self._opener, clock)
        self.metrics = metrics
        self.operations = storage.operations
        metrics.show(self._gauges)
        self._timer = asyncio.get_running_loop().create_task(self._keep_time())
        for task in tasks.open_tasks():
            self._opener.follow(task)
        self._opener.tidy(tasks.rows())

    @classmethod
    async def open(
        cls,
        folder: Path,
        clock: Callable[[], float] | None = None,
        database: str | None = None,
        disk: Disk = REAL,
        stop: threading.Event | None = None,
        audit: Path | None = None,
        upload_memory: int = UPLOAD_MEMORY,
        keep_checkpoints: int = KEPT_MODELS,
        unmasker: Unmasker | None = None,
        evidence: Provider | None = None,
        limits: AddressLimits | None = None,
        identity_calls: int = 0,
    ) -> Self:
        """Opens a state folder and goes on where it was left.

        Args:
            folder: made if it is not there.
            clock: seconds since 1970, never going back; one that stands still lets nothing expire. None: the system's.
            database: SQLAlchemy URL of the ledger; None: SQLite in the folder.
            disk: carries out the writes.
            stop: once it is set, recovery ends at its next step.
            audit: keep every contribution there in the clear; for audits only.
            upload_memory: MiB of contributions that may be on their way in at the same time.
            keep_checkpoints: older models of a task to which it can be put back, at least 1.
            unmasker: opens the sums of tasks with secure sums, and is closed with the coordinator; None: nobody does.
            evidence: judges who is admitted to rounds; None: everybody may take part.
            limits: of network addresses; None: there are no limits.
            identity_calls: check-ins, fetches and admissions a minute of one identity, each by itself; 0: any number.

        Raises:
            StoppedError: `stop` was set.
            FolderLockedError: another coordinator uses the folder or the ledger.
            SettingError: a task with secure sums cannot be recorded for an audit.
            FolderError, LedgerError, BlobLostError, LogError, OperationsError: they cannot be used, or are not as they
                were left.
            WireError, OSError: a task is of another version; the disk is full or broken.
        """
        clock, metrics = clock or MonotonicClock(), Metrics()
        # On another thread, so that health checks are answered.
        storage = await asyncio.to_thread(Storage, folder, metrics, database, disk, audit, keep_checkpoints)
        try:
            tasks = await asyncio.to_thread(storage.recover, clock(), stop or threading.Event())
            uploads = Uploads(upload_memory * 2**20)
            return cls(storage, tasks, uploads, metrics, clock, unmasker, evidence, limits, identity_calls)
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
        """Finishes what has been accepted, and unlocks the folder."""
        self._timer.cancel()
        self._watchers.notify_all()
        if self.devices.refusals:
            _log.info("refused uploads: %s", dict(self.devices.refusals))
        await self._opener.close()
        await self._durability.close()

    @property
    def failure(self) -> Exception | None:
        """Why the coordinator has turned itself off, or None."""
        return self._durability.failure

    async def failed(self) -> None:
        """Returns when the coordinator has turned itself off."""
        await self._durability.failed()

    async def drain(self) -> None:
        """Takes no more check-ins, and returns when no contribution is on its way in any more."""
        self.devices.drain()
        self.admin.drain()
        while self.devices.receiving and self.failure is None:
            await asyncio.sleep(_DRAIN_TICK)

    def _gauges(self) -> Gauges:
        yield "fedau2_receiving", "Contributions on their way in.", self.devices.receiving, {}
        for use, size in self.devices.upload_memory.items():
            yield "fedau2_upload_memory_bytes", "Memory of contributions that are not whole yet.", size, {"use": use}
        yield "fedau2_writer_queue", "Changes that wait to become durable.", len(self._durability), {}
        for task in self._tasks.open_tasks():
            labels = {"population": task.population}
            if ends := task.spec.manifest.release.expires:
                yield "fedau2_bundle_end_timestamp_seconds", "When devices refuse the task's bundle.", ends, labels
            yield "fedau2_round", "Number of the open round.", task.round.number, labels
            yield "fedau2_reported", "Contributions of the open round.", task.round.reported, labels
            yield "fedau2_live_leases", "Assignments of the open round that are out.", task.round.live, labels
            if task.spec.hidden:
                opening = task.round.state == ROUND_STATE_OPENING
                age = self._clock() - task.round.frozen if opening else 0.0
                yield "fedau2_opening_seconds", "Time that the open round waits for its sum.", age, labels
            yield from _norms(self._tasks.row(task.task_id))

    async def _keep_time(self) -> None:
        while self.failure is None:
            self.devices.tick(self._clock())
            for task in self._tasks.open_tasks():
                with contextlib.suppress(StoppedError):
                    await self._durability.record(task, task.round.tick(self._clock()))
            await asyncio.sleep(_TICK)


def _norms(row: TaskRow) -> Gauges:
    norms = ContributionNorms.FromString(row.norms)
    for part in ("shared", "adversary"):
        if not norms.HasField(part):
            continue
        statistics = getattr(norms, part)
        labels = {"population": row.population, "tensors": part}
        yield "fedau2_round_norm_median", "Median norm of the newest round's contributions.", statistics.median, labels
        yield (
            "fedau2_round_norm_largest",
            "Largest norm of the newest round's contributions.",
            statistics.largest,
            labels,
        )
