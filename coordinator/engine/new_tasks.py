"""Brings new tasks to devices: a task from a bundle, or the successor of a running one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from coordinator.aggregation import choice
from coordinator.engine import releases, replacing, streams
from coordinator.engine.durability import Durability
from coordinator.engine.hidden_tasks import HiddenTasks, new_id
from coordinator.engine.opening import Opener
from coordinator.engine.task_table import TaskTable
from coordinator.engine.watchers import Watchers
from coordinator.errors import InvalidBundleError, PopulationTakenError, TaskOverError
from coordinator.metrics.metrics import Metrics
from coordinator.model.open_task import OpenTask
from coordinator.model.task import Bundle, TaskSpec
from coordinator.store.task_rows import TaskRow
from fedau2.v1 import admin_pb2
from fedau2.v1.task_pb2 import ClientVersions

_log = logging.getLogger(__name__)


class NewTasks:
    """Creates and replaces tasks. Used on one event loop.

    Args:
        tasks: the tasks.
        durability: stores tasks.
        watchers: wake those who wait for the end of a round.
        metrics: count the sessions of a round that is stopped.
        hidden: the tasks with secure sums that can be run.
        opener: looks after them.
        clock: seconds since 1970.

    Attributes:
        changing: is held while the open task of a population changes.
    """

    def __init__(
        self,
        tasks: TaskTable,
        durability: Durability,
        watchers: Watchers,
        metrics: Metrics,
        hidden: HiddenTasks,
        opener: Opener,
        clock: Callable[[], float],
    ) -> None:
        self._tasks, self._durability, self._watchers = tasks, durability, watchers
        self._metrics, self._hidden, self._opener = metrics, hidden, opener
        self._clock = clock
        self.changing = asyncio.Lock()

    async def create(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> TaskRow:
        """Creates a task from a whole bundle.

        Raises:
            InvalidRequestError, InvalidBundleError: the task cannot be run.
            PopulationTakenError: the population has a running task.
        """
        bundle = await streams.bundle(requests)
        releases.expect(bundle.spec.manifest, bundle.header.population, self._clock())
        self._hidden.check(bundle.header, bundle.spec)
        # Shielded: a caller that goes away must not leave a task that is stored but not run.
        return await asyncio.shield(self._create(bundle))

    async def _create(self, bundle: Bundle) -> TaskRow:
        async with self.changing:
            if self._tasks.open_task_of(population := bundle.header.population) is not None:
                raise PopulationTakenError(
                    f"population {population!r} has a running task; let it finish or stop it first"
                )
            row, task = await self._durability.create_task(new_id(bundle.spec.hidden), bundle)
            self._tasks.add(row, task)
            self._opener.follow(task)
        return row

    async def replace(
        self, requests: AsyncIterator[admin_pb2.ReplaceTaskRequest], draining: Callable[[], bool]
    ) -> TaskRow:
        """Starts a task's successor in its place, at the end of its open round, and returns the successor.

        Raises:
            UnknownError: there is no task of that id.
            TaskOverError: it is over, or ends before its successor can start.
            InvalidBundleError: the bundle cannot be run, or does not go on from the task.
            BusyError: another successor waits already.
        """
        header, (manifest, data) = await streams.successor(requests)
        row = self._tasks.row(header.task_id)
        if (task := self._tasks.open_task(row.task_id)) is None:
            raise TaskOverError(f"task {row.task_id} is over; export its model, and create a task that goes on from it")
        if row.manifest not in manifest.ancestors:
            raise InvalidBundleError(
                f"the bundle does not go on from task {row.task_id}: build it with `fedau2-export bundle --from`, from "
                "the task's own bundle or from what `export` writes of the task"
            )
        releases.expect(manifest, row.population, self._clock())
        if manifest.model != task.spec.manifest.model:
            raise InvalidBundleError(f"a task of {task.spec.manifest.model} cannot go on as one of {manifest.model}")
        created = admin_pb2.CreateTaskHeader(
            population=row.population,
            manifest=header.manifest,
            closing=task.spec.closing,
            versions=ClientVersions.FromString(row.versions),
            touched_rows=header.touched_rows,
            checkpoints=row.encoding,
        )
        bundle = Bundle(created, TaskSpec.of(manifest, task.spec.closing), data)
        if why := choice.why_not(manifest, task.spec.closing, bundle.spec.largest):
            raise InvalidBundleError(f"the successor was refused: {why}")
        self._hidden.check(created, bundle.spec)
        await replacing.hold_untouched(task, self._tasks, self._durability, self._watchers, draining)
        return await asyncio.shield(self._succeed(task, bundle))

    async def _succeed(self, task: OpenTask, bundle: Bundle) -> TaskRow:
        async with self.changing:
            replacing.expect_open(task, self._tasks)
            ended, row, successor = await self._durability.succeed(task.task_id, new_id(bundle.spec.hidden), bundle)
            task.round.stop()
            self._tasks.succeed(ended, row, successor)
            self._opener.follow(successor)
        self._watchers.notify(task.task_id)
        self._metrics.round_over(task.task_id)
        _log.info("task %s: goes on as task %s, from round %d", task.task_id, row.task_id, row.skipped)
        return row
