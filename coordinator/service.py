"""The coordinator as an object on an event loop, whatever the transport.

The loop owns the rounds, which decide; the writing thread owns the storage, which makes decisions durable in the order
in which they were made. No caller is answered before that.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from coordinator import pace, streams
from coordinator.changes import Changes
from coordinator.clock import MonotonicClock
from coordinator.deadlines import Deadlines
from coordinator.disk import REAL, Disk
from coordinator.errors import (
    InvalidRequestError,
    PopulationTakenError,
    RefusalError,
    StoppedError,
    TaskOverError,
    UnknownError,
)
from coordinator.ledger import TaskRow
from coordinator.live import LiveTask, message, open_round, past_round, refusal, verdict_of
from coordinator.metrics import Gauges, timed
from coordinator.rounds import Closed, Effect, Reported, Verdict
from coordinator.storage import Change, Storage
from coordinator.streams import Bundle, Contribution
from coordinator.transitions import Entry
from coordinator.writer import Writer
from fedau2.v1 import admin_pb2, device_pb2
from fedau2.v1.device_pb2 import Rejection
from fedau2.v1.task_pb2 import RetryWindow

_log = logging.getLogger(__name__)

_TICK = 1.0
"""Seconds between two looks at the clock when no device calls."""

_DRAIN_TICK = 0.02
"""Seconds between two looks at the contributions on their way in."""

_PAGE = 1000
"""Most rounds of one answer."""

_LAST = 2**63 - 1 - _PAGE
"""Highest number of a round that the ledger can be asked for."""

_REASONS = {
    Verdict.FULL: device_pb2.REJECTION_REASON_ROUND_FULL,
    Verdict.CLOSED: device_pb2.REJECTION_REASON_ROUND_CLOSING,
    Verdict.PAUSED: device_pb2.REJECTION_REASON_PAUSED,
}


class Coordinator:
    """Both services as methods. Refuses a call by raising an `errors.RefusalError`. Opened by `open`.

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
    ) -> Self:
        """Opens a state folder and goes on where it was left.

        Args:
            folder: made if it is not there.
            clock: seconds since 1970, never going back; one that stands still lets nothing expire. None: the system's.
            database: SQLAlchemy URL of the ledger; None: SQLite in the folder.
            disk: what everything is written to.

        Raises:
            FolderLockedError: another coordinator uses the folder or the ledger.
            FolderError, LedgerError, BlobLostError, LogError: they cannot be used, or are not as they were left.
            WireError, OSError: a task is of another version; the disk is full or broken.
        """
        clock = clock or MonotonicClock()
        storage = await asyncio.to_thread(Storage, folder, database, disk)  # so that health checks are answered
        try:
            return cls(storage, clock, await asyncio.to_thread(storage.recover, clock()))
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

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """DeviceService.CheckIn.

        Raises:
            InvalidRequestError: no population can have this name.
            StoppedError: the coordinator is shutting down.
        """
        with timed(self.metrics.check_in):
            response = await self._check_in(request)
        if response.WhichOneof("result") == "rejection":
            name = device_pb2.RejectionReason.Name(response.rejection.reason)
            self.metrics.rejections.labels(name.removeprefix("REJECTION_REASON_").lower()).inc()
        return response

    async def _check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        self._writer.check()
        streams.population(request.population)
        if self._draining:
            raise StoppedError("the coordinator is shutting down; try again later", pace.STARTING.message())
        task = self._running.get(request.population)
        if task is None:
            return _rejected(device_pb2.REJECTION_REASON_NO_TASK, self._retry(None, Verdict.UNKNOWN))
        if not task.versions.admits(request.client_version):
            return _rejected(device_pb2.REJECTION_REASON_CLIENT_VERSION, pace.LATER.message())
        assignment_id = secrets.token_bytes(16)
        assignment = task.assignment(assignment_id, self._storage.served.size)  # of this round, whatever comes next
        verdict, effects = task.round.check_in(assignment_id, self._clock())
        if verdict is Verdict.ACCEPTED:
            await self._record(task, effects)
            return device_pb2.CheckInResponse(assignment=assignment)
        retry = self._retry(task, verdict)
        await self._record(task, effects)
        return _rejected(_REASONS[verdict], retry)

    async def fetch_resource(
        self, request: device_pb2.FetchResourceRequest
    ) -> AsyncIterator[device_pb2.FetchResourceResponse]:
        """DeviceService.FetchResource.

        Raises:
            UnknownError: no such blob is served.
            InvalidRequestError: no hash, or an offset beyond the end.
        """
        self._writer.check()
        if len(request.sha256) != 32:
            raise InvalidRequestError("a blob is addressed by a SHA-256 of 32 bytes")
        try:
            size = self._storage.served.size(request.sha256)
        except FileNotFoundError as error:
            name = request.sha256.hex()[:12]
            raise UnknownError(f"no blob {name} is served (any more); check in again") from error
        if request.offset > size:
            raise InvalidRequestError(f"offset {request.offset} lies beyond the blob's {size} bytes")
        for data in self._storage.served.stream(request.sha256, request.offset):
            self.metrics.sent.inc(len(data))
            yield device_pb2.FetchResourceResponse(data=data)

    async def upload_contribution(
        self, requests: AsyncIterator[device_pb2.UploadContributionRequest]
    ) -> device_pb2.UploadContributionResponse:
        """DeviceService.UploadContribution.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._writer.check()
        try:
            with timed(self.metrics.upload):
                retry = await self._upload(requests)
        except RefusalError as error:
            self.refusals[type(error).__name__] += 1
            self.metrics.refusals.labels(type(error).__name__).inc()
            raise
        return device_pb2.UploadContributionResponse(next_check_in=retry)

    async def _upload(self, requests: AsyncIterator[device_pb2.UploadContributionRequest]) -> RetryWindow:
        header = await streams.upload_header(requests)
        task, verdict = self._with(header.assignment_id), Verdict.UNKNOWN
        if task is not None:
            verdict = task.round.judge(header.assignment_id, header.sha256, self._clock())
            contribution, effects = None, list[Effect]()
            if verdict is Verdict.ACCEPTED:
                contribution = await self._receive(requests, header, task)
                verdict, effects = task.round.report(header.assignment_id, header.sha256, self._clock())
            retry = self._retry(task, verdict)  # of this round, whatever comes next
            await self._settle(task, effects, contribution)
        if verdict is Verdict.UNKNOWN:
            verdict, retry = await self._recall(header.assignment_id, header.sha256)
        if verdict not in (Verdict.ACCEPTED, Verdict.REPEATED):
            raise refusal(verdict, retry)
        return retry

    async def _receive(
        self,
        requests: AsyncIterator[device_pb2.UploadContributionRequest],
        header: device_pb2.UploadHeader,
        task: LiveTask,
    ) -> Contribution:
        # A device that trickles or stalls must not hold memory for longer than its lease, whatever became of the round.
        self.metrics.step(task.row.task_id, header.assignment_id, "u")
        try:
            async with self._deadlines.until(task.round.deadline(header.assignment_id)):
                contribution = await streams.contribution(requests, header, task.spec)
            self.metrics.received.inc(header.size)
            return contribution
        except (RefusalError, asyncio.CancelledError):
            self.metrics.step(task.row.task_id, header.assignment_id, "!")
            raise
        except TimeoutError:
            raise refusal(Verdict.LATE, self._retry(task, Verdict.LATE)) from None

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        """DeviceService.ReportFailure.

        Raises:
            RefusalError: see `errors`; nothing was changed.
        """
        self._writer.check()
        if task := self._with(request.assignment_id):
            verdict, effects = task.round.fail(request.assignment_id, request.reason, self._clock())
            verdict = Verdict.GIVEN_BACK if verdict is Verdict.ACCEPTED else verdict
            retry = self._retry(task, verdict)
            await self._settle(task, effects)
        else:
            verdict, retry = await self._recall(request.assignment_id, b"")
        if verdict is not Verdict.GIVEN_BACK:
            raise refusal(verdict, retry)
        return device_pb2.ReportFailureResponse(next_check_in=retry)

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """AdminService.CreateTask.

        Raises:
            InvalidRequestError, InvalidBundleError: the task cannot be run.
            PopulationTakenError: the population has a running task.
        """
        self._writer.check()
        bundle = await streams.bundle(requests)
        # Shielded: a caller that goes away must not leave a task that is stored but not run.
        return await asyncio.shield(self._create(bundle))

    async def _create(self, bundle: Bundle) -> admin_pb2.Task:
        async with self._creating:
            if (population := bundle.header.population) in self._running:
                raise PopulationTakenError(
                    f"population {population!r} has a running task; let it finish or stop it first"
                )
            job = partial(self._storage.create_task, secrets.token_hex(8), bundle, self._clock())
            task = await self._writer.run(job)
            self._rows[task.row.task_id] = task.row
            self._running[population] = task
        return self._message(task.row)

    async def pause_task(self, request: admin_pb2.PauseTaskRequest) -> admin_pb2.Task:
        """AdminService.PauseTask.

        Raises:
            UnknownError: there is none of that id.
            TaskOverError: it is finished or stopped.
        """
        return await self._change_state(request.task_id, admin_pb2.TASK_STATE_PAUSED)

    async def resume_task(self, request: admin_pb2.ResumeTaskRequest) -> admin_pb2.Task:
        """AdminService.ResumeTask.

        Raises:
            UnknownError: there is none of that id.
            TaskOverError: it is finished or stopped.
        """
        return await self._change_state(request.task_id, admin_pb2.TASK_STATE_RUNNING)

    async def stop_task(self, request: admin_pb2.StopTaskRequest) -> admin_pb2.Task:
        """AdminService.StopTask.

        Raises:
            UnknownError: there is none of that id.
            TaskOverError: it is finished.
        """
        self._writer.check()
        row = self._row(request.task_id)
        if (task := self._live(row)) is not None:
            del self._running[row.population]
            task.round.stop()  # an effect from now on would be written after the task's end
            self._changes.notify(row.task_id)
            self.metrics.round_over(row.task_id)
        return await self._change_state(request.task_id, admin_pb2.TASK_STATE_STOPPED)

    async def _change_state(self, task_id: str, state: admin_pb2.TaskState.ValueType) -> admin_pb2.Task:
        self._writer.check()
        self._row(task_id)
        # The writing thread decides, after the commits that are queued, whether the task is over.
        changed = self._writer.run(partial(self._storage.change_state, task_id, state, self._clock()))
        changed.add_done_callback(self._update)
        row = await asyncio.shield(changed)  # a caller that goes away changes nothing
        if row.state != state:
            over = admin_pb2.TaskState.Name(row.state).removeprefix("TASK_STATE_").lower()
            raise TaskOverError(f"task {task_id} is {over}; create another")
        return self._message(row)

    def _update(self, changed: asyncio.Future[TaskRow]) -> None:
        if changed.exception() is not None:
            return  # the coordinator has turned itself off
        row = changed.result()
        if (task := self._live(row)) is not None:
            task.update(row)
        self._rows[row.task_id] = row

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """AdminService.GetTask.

        Raises:
            UnknownError: there is none of that id.
        """
        self._writer.check()
        return self._message(self._row(request.task_id))

    async def list_tasks(self, request: admin_pb2.ListTasksRequest) -> admin_pb2.ListTasksResponse:
        """AdminService.ListTasks."""
        self._writer.check()
        return admin_pb2.ListTasksResponse(tasks=[self._message(row) for row in self._rows.values()])

    async def list_rounds(self, request: admin_pb2.ListRoundsRequest) -> admin_pb2.ListRoundsResponse:
        """AdminService.ListRounds.

        Raises:
            UnknownError: there is no task of that id.
        """
        self._writer.check()
        self._row(request.task_id)
        limit = min(request.limit or _PAGE, _PAGE)
        job = partial(self._storage.rounds, request.task_id, min(request.first, _LAST), limit)
        rounds = await self._writer.run(job)
        return admin_pb2.ListRoundsResponse(rounds=[past_round(request.task_id, each) for each in rounds])

    async def watch_rounds(self, request: admin_pb2.WatchRoundsRequest) -> AsyncIterator[admin_pb2.Round]:
        """AdminService.WatchRounds. A slow reader misses states in between, never the newest.

        Raises:
            UnknownError: there is no task of that id.
            StoppedError: the coordinator shuts down.
        """
        last = None
        while (task := self._live(self._row(request.task_id))) is not None:
            self._writer.check()
            if self._draining:
                raise StoppedError("the coordinator is shutting down; watch again when it is back")
            change = self._changes.next(request.task_id)
            if (now := open_round(task)) != last:
                last = now
                yield now
            else:
                await change.wait()

    def _message(self, row: TaskRow) -> admin_pb2.Task:
        return message(row, self._live(row), self._storage.served.size)

    def _row(self, task_id: str) -> TaskRow:
        if task_id not in self._rows:
            raise UnknownError(f"no task {task_id!r}")
        return self._rows[task_id]

    def _live(self, row: TaskRow) -> LiveTask | None:
        task = self._running.get(row.population)
        return task if task is not None and task.row.task_id == row.task_id else None

    def _with(self, assignment_id: bytes) -> LiveTask | None:
        return next((task for task in self._running.values() if assignment_id in task.round), None)

    async def _recall(self, assignment_id: bytes, sha256: bytes) -> tuple[Verdict, RetryWindow]:
        """What the ledger knows of an assignment whose round is over, or never was."""
        row = await self._writer.run(partial(self._storage.assignment, assignment_id))
        if row is None:
            return Verdict.UNKNOWN, self._retry(None, Verdict.UNKNOWN)
        task = self._rows[row.task_id]
        verdict = verdict_of(row, task, sha256)
        return verdict, self._retry(self._running.get(task.population), verdict)

    def _retry(self, task: LiveTask | None, verdict: Verdict) -> RetryWindow:
        now = self._clock()
        if task is None:
            return self._idle.book(now, pace.IDLE, pace.IDLE_RATE).message()
        return task.pace.window(task.round, verdict, now).message()

    async def _settle(
        self, task: LiveTask, effects: Sequence[Effect], contribution: Contribution | None = None
    ) -> None:
        """Returns when everything that a verdict on an assignment rests on is durable, not its own effects only.

        A refusal makes a device throw its contribution away. If the power failed before what refused it was durable,
        that would be for nothing: after the restart the round would be open as before.

        Raises:
            StoppedError: it has not become durable.
        """
        if effects:
            await self._record(task, effects, contribution)
        else:
            await self._writer.run(lambda: None)

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


def _rejected(reason: device_pb2.RejectionReason.ValueType, retry: RetryWindow) -> device_pb2.CheckInResponse:
    return device_pb2.CheckInResponse(rejection=Rejection(reason=reason, retry=retry))
