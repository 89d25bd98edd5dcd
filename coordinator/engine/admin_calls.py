"""AdminService as methods."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from functools import partial

from coordinator.engine import streams
from coordinator.engine.core import Core
from coordinator.engine.live import message, open_round, past_round
from coordinator.engine.streams import Bundle
from coordinator.errors import PopulationTakenError, StoppedError, TaskOverError, UnknownError
from coordinator.store.ledger import TaskRow
from fedau2.v1 import admin_pb2

_PAGE = 1000
"""Most rounds of one answer."""

_LAST = 2**63 - 1 - _PAGE
"""Highest number of a round that the ledger can be asked for."""


class AdminCalls(Core):
    """What operators call. Refuses a call by raising an `errors.RefusalError`."""

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
        """AdminService.WatchRounds. A slow reader misses states in between, but never the newest, nor a commit.

        Raises:
            UnknownError: there is no task of that id.
            StoppedError: the coordinator shuts down.
        """
        last, row = None, self._row(request.task_id)
        while (task := self._live(self._row(request.task_id))) is not None:
            self._writer.check()
            if self._draining:
                raise StoppedError("the coordinator is shutting down; watch again when it is back")
            change = self._changes.next(request.task_id)
            if (now := open_round(task)) != last:
                for each in await self._committed(row.task_id, last, now.round):
                    yield each
                last = now
                yield now
            else:
                await change.wait()
        for each in await self._committed(row.task_id, last, self._row(row.task_id).round):
            yield each

    async def _committed(self, task_id: str, last: admin_pb2.Round | None, end: int) -> list[admin_pb2.Round]:
        """The rounds that have been committed since an open one was shown, up to the round `end`."""
        if last is None or end <= last.round:
            return []
        rounds = await self._writer.run(partial(self._storage.rounds, task_id, last.round, end - last.round))
        return [past_round(task_id, each) for each in rounds]

    def _message(self, row: TaskRow) -> admin_pb2.Task:
        return message(row, self._live(row), self._storage.served.size)

    def _row(self, task_id: str) -> TaskRow:
        if task_id not in self._rows:
            raise UnknownError(f"no task {task_id!r}")
        return self._rows[task_id]
