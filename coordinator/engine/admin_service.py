"""AdminService: the methods that operators call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from coordinator.engine.blob_reader import BlobReader
from coordinator.engine.durability import Durability
from coordinator.engine.hidden_tasks import HiddenTasks
from coordinator.engine.messages import open_round, past_round, task_message
from coordinator.engine.new_tasks import NewTasks
from coordinator.engine.opening import Opener
from coordinator.engine.task_table import TaskTable
from coordinator.engine.watchers import Watchers
from coordinator.errors import StoppedError, TaskOverError, UnknownError
from coordinator.metrics.metrics import Metrics
from coordinator.store.task_rows import TaskRow
from fedau2.v1 import admin_pb2
from fedau2.v1.device_pb2 import FetchResourceRequest, FetchResourceResponse
from fedau2.v1.task_pb2 import TaskManifest

_SKIPPABLE = (admin_pb2.ROUND_STATE_COLLECTING, admin_pb2.ROUND_STATE_OPENING)

_PAGE = 1000
"""Most rounds of one answer."""

_LAST = 2**63 - 1 - _PAGE
"""Highest number of a round that the ledger can be asked for."""


class AdminService:
    """Answers operators on an event loop, whatever the transport. Refuses a call by raising an `errors.RefusalError`.

    Args:
        tasks: the tasks.
        durability: stores tasks and their states.
        watchers: wake the operators who watch a task.
        blobs: the blobs that operators may fetch.
        metrics: count the sessions of a round that is stopped.
        hidden: the tasks with secure sums that can be run.
        opener: looks after them.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        tasks: TaskTable,
        durability: Durability,
        watchers: Watchers,
        blobs: BlobReader,
        metrics: Metrics,
        hidden: HiddenTasks,
        opener: Opener,
        clock: Callable[[], float],
    ) -> None:
        self._tasks = tasks
        self._durability = durability
        self._watchers = watchers
        self._blobs = blobs
        self._metrics = metrics
        self._opener = opener
        self._new = NewTasks(tasks, durability, watchers, metrics, hidden, opener, clock)
        self._rolling_back = asyncio.Lock()
        self._draining = False

    def drain(self) -> None:
        """Ends the watching of rounds, from now on."""
        self._draining = True
        self._watchers.notify_all()

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """AdminService.CreateTask.

        Raises:
            InvalidRequestError, InvalidBundleError: the task cannot be run.
            PopulationTakenError: the population has a running task.
        """
        self._durability.check()
        return self._message(await self._new.create(requests))

    async def replace_task(self, requests: AsyncIterator[admin_pb2.ReplaceTaskRequest]) -> admin_pb2.Task:
        """AdminService.ReplaceTask.

        Raises:
            UnknownError: there is no task of that id.
            TaskOverError: it is over, or ends before its successor can start.
            InvalidBundleError: the bundle cannot be run, or does not go on from the task.
            BusyError: another successor waits already.
        """
        self._durability.check()
        return self._message(await self._new.replace(requests, lambda: self._draining))

    async def pause_task(self, request: admin_pb2.PauseTaskRequest) -> admin_pb2.Task:
        """AdminService.PauseTask.

        Raises:
            UnknownError: there is no task of that id.
            TaskOverError: it is finished or stopped.
        """
        return await self._change_state(request.task_id, admin_pb2.TASK_STATE_PAUSED)

    async def resume_task(self, request: admin_pb2.ResumeTaskRequest) -> admin_pb2.Task:
        """AdminService.ResumeTask.

        Raises:
            UnknownError: there is no task of that id.
            TaskOverError: it is finished or stopped.
        """
        return await self._change_state(request.task_id, admin_pb2.TASK_STATE_RUNNING)

    async def stop_task(self, request: admin_pb2.StopTaskRequest) -> admin_pb2.Task:
        """AdminService.StopTask.

        Raises:
            UnknownError: there is no task of that id.
            TaskOverError: it is finished.
        """
        self._durability.check()
        async with self._new.changing:  # a successor that is being stored takes the task's place first
            if (task := self._tasks.open_task(request.task_id)) is not None:
                self._tasks.close(task)
                task.round.stop()  # an effect from now on would be written after the task's end
                self._watchers.notify(task.task_id)
                self._metrics.round_over(task.task_id)
        return await self._change_state(request.task_id, admin_pb2.TASK_STATE_STOPPED)

    async def skip_round(self, request: admin_pb2.SkipRoundRequest) -> admin_pb2.Task:
        """AdminService.SkipRound.

        Raises:
            UnknownError: there is no task of that id.
            TaskOverError: the round is not open, or not one that can be skipped.
        """
        self._durability.check()
        task = self._tasks.open_task(request.task_id)
        if task is None or not task.spec.hidden or task.round.state not in _SKIPPABLE:
            raise TaskOverError(f"task {request.task_id} has no round with secure sums that waits for its sum")
        if task.round.number != request.round:
            raise TaskOverError(f"round {request.round} is not open: round {task.round.number} is")
        # Shielded: a caller that goes away must not leave a round that is skipped and a task that stands still.
        row = await asyncio.shield(self._durability.skip(task, "an operator asked for it"))
        return self._message(row)

    async def roll_back_task(self, request: admin_pb2.RollBackTaskRequest) -> admin_pb2.Task:
        """AdminService.RollBackTask.

        Raises:
            UnknownError: there is no task of that id, or it keeps no whole model of that round.
        """
        self._durability.check()
        # Shielded: a caller that goes away must not leave a task that is put back and whose round stands still.
        return await asyncio.shield(self._roll_back(request.task_id, request.round))

    async def _roll_back(self, task_id: str, target: int) -> admin_pb2.Task:
        async with self._rolling_back:
            self._expect_kept(task_id, target)
            if reason := await self._durability.why_lost(task_id, target):
                raise UnknownError(f"task {task_id} cannot be put back to round {target}: {reason}")
            while (task := self._tasks.open_task(task_id)) and task.round.state == admin_pb2.ROUND_STATE_AGGREGATING:
                await self._durability.written()
            self._expect_kept(task_id, target)  # a commit may have dropped it
            row = await self._durability.put_back(task_id, target)
        return self._message(row)

    def _expect_kept(self, task_id: str, target: int) -> None:
        kept = [model.round for model in self._tasks.row(task_id).kept]
        if target not in kept:
            rounds = f"the rounds {', '.join(map(str, kept))}" if kept else "no older model"
            raise UnknownError(f"task {task_id} cannot be put back to round {target}: it keeps {rounds}")

    async def _change_state(self, task_id: str, state: admin_pb2.TaskState.ValueType) -> admin_pb2.Task:
        self._durability.check()
        self._tasks.row(task_id)  # raises if there is no such task
        # The writing thread decides, after the commits that are queued, whether the task is over.
        # Shielded: a caller that goes away changes nothing.
        row = await asyncio.shield(self._durability.change_state(task_id, state))
        if row.state != state:
            name = admin_pb2.TaskState.Name(row.state).removeprefix("TASK_STATE_").lower()
            raise TaskOverError(f"task {task_id} is {name}; create another")
        return self._message(row)

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """AdminService.GetTask.

        Raises:
            UnknownError: there is no task of that id.
        """
        self._durability.check()
        return self._message(self._tasks.row(request.task_id))

    async def list_tasks(self, request: admin_pb2.ListTasksRequest) -> admin_pb2.ListTasksResponse:
        """AdminService.ListTasks."""
        self._durability.check()
        return admin_pb2.ListTasksResponse(tasks=[self._message(row) for row in self._tasks.rows()])

    async def get_manifest(self, request: admin_pb2.GetManifestRequest) -> TaskManifest:
        """AdminService.GetManifest.

        Raises:
            UnknownError: there is no task of that id.
        """
        self._durability.check()
        return TaskManifest.FromString(await self._blobs.read(self._tasks.row(request.task_id).manifest))

    async def list_rounds(self, request: admin_pb2.ListRoundsRequest) -> admin_pb2.ListRoundsResponse:
        """AdminService.ListRounds.

        Raises:
            UnknownError: there is no task of that id.
        """
        self._durability.check()
        task_id = self._tasks.row(request.task_id).task_id
        limit = min(request.limit or _PAGE, _PAGE)
        rounds = await self._durability.rounds(task_id, min(request.first, _LAST), limit)
        return admin_pb2.ListRoundsResponse(rounds=[past_round(task_id, summary) for summary in rounds])

    async def watch_rounds(self, request: admin_pb2.WatchRoundsRequest) -> AsyncIterator[admin_pb2.Round]:
        """AdminService.WatchRounds. A slow reader misses states in between, but never the newest, nor a commit.

        Raises:
            UnknownError: there is no task of that id.
            StoppedError: the coordinator is shutting down.
        """
        last, task_id = None, request.task_id
        while (task := self._tasks.open_task(task_id)) is not None:
            self._durability.check()
            if self._draining:
                raise StoppedError("the coordinator is shutting down; watch again when it is back")
            change = self._watchers.next_change(task_id)
            if (now := open_round(task)) != last:
                for committed in await self._committed(task_id, last, now.round):
                    yield committed
                last = now
                yield now
            else:
                await change.wait()
        for committed in await self._committed(task_id, last, self._tasks.row(task_id).round):
            yield committed

    async def _committed(self, task_id: str, last: admin_pb2.Round | None, end: int) -> list[admin_pb2.Round]:
        """Reads the rounds up to the round `end` that have been committed since `last` was shown."""
        if last is None or end <= last.round:
            return []
        rounds = await self._durability.rounds(task_id, last.round, end - last.round)
        return [past_round(task_id, summary) for summary in rounds]

    async def fetch_resource(self, request: FetchResourceRequest) -> AsyncIterator[FetchResourceResponse]:
        """AdminService.FetchResource, see `BlobReader.fetch_resource`.

        Raises:
            StoppedError: another coordinator leads, which does not know of this call's record.
        """
        await self._durability.confirm()
        async with aclosing(self._blobs.fetch_resource(request)) as responses:
            async for response in responses:
                yield response

    def _message(self, row: TaskRow) -> admin_pb2.Task:
        return task_message(row, self._tasks.open_task(row.task_id), self._blobs.size, self._opener.seen)
