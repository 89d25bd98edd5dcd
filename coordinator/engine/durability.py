"""Makes what the rounds decide durable, in the order in which they decided it, and commits closed rounds.

The event loop owns the rounds, which decide. The writing thread owns the storage, which makes decisions durable. No
caller is answered before the effect of its call is durable.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

from coordinator.engine.commits import Ended
from coordinator.engine.hidden_rounds import Answer
from coordinator.engine.hidden_sum import Frozen
from coordinator.engine.storage import Decision, Storage
from coordinator.engine.task_table import TaskTable
from coordinator.engine.watchers import Watchers
from coordinator.engine.writer import Writer
from coordinator.metrics.metrics import Metrics
from coordinator.metrics.round_end import RoundEnd
from coordinator.model.effects import Closed, Effect, Reported
from coordinator.model.open_task import OpenTask
from coordinator.model.task import Bundle, Contribution
from coordinator.store.rows import AssignmentRow, RoundRow, RoundSummary
from coordinator.store.task_rows import TaskRow
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import ROUND_STATE_AGGREGATING, TaskState

_log = logging.getLogger(__name__)

R = TypeVar("R")


class Durability:
    """The writing thread, as the event loop uses it.

    Every method that returns a future queues its work at once, in order. A future fails with `StoppedError` if the
    coordinator turns itself off before the work is done.

    Args:
        storage: an open storage, which has recovered `tasks`. `close` closes it.
        tasks: the tasks; a commit replaces a task's row and opens its next round.
        watchers: woken by changes.
        metrics: count effects and committed rounds.
        clock: seconds since 1970.
    """

    def __init__(
        self, storage: Storage, tasks: TaskTable, watchers: Watchers, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._storage = storage
        self._tasks = tasks
        self._watchers = watchers
        self._metrics = metrics
        self._clock = clock
        self._writer = Writer[Decision](storage.write)
        for task in tasks.open_tasks():
            metrics.resume(task.task_id, task.round.live_ids())
            if task.round.state == ROUND_STATE_AGGREGATING:
                self._commit(task)

    def __len__(self) -> int:
        """Changes that wait to become durable."""
        return len(self._writer)

    @property
    def failure(self) -> Exception | None:
        """Why the coordinator has turned itself off, or None."""
        return self._writer.failure

    async def failed(self) -> None:
        """Returns when the coordinator has turned itself off."""
        await self._writer.stopped.wait()

    def check(self) -> None:
        """Returns if the coordinator works.

        Raises:
            StoppedError: it has turned itself off or is closed.
        """
        self._writer.check()

    async def close(self) -> None:
        """Finishes what is queued, and closes the storage."""
        await self._writer.close()
        try:
            if self._writer.failure is None:
                self._storage.checkpoint()
        finally:
            self._storage.close()

    async def record(self, task: OpenTask, effects: Sequence[Effect], contribution: Contribution | None = None) -> None:
        """Queues the effects of a round at once and in order, and returns when all of them are durable.

        Args:
            task: the task whose round it is.
            effects: the decisions of the round.
            contribution: the contribution that a `Reported` among the effects counts.

        Raises:
            StoppedError: they have not become durable.
        """
        durable, at = None, self._clock()
        for effect in effects:
            entry = Entry(task.task_id, task.round.number, at, effect)
            self._metrics.effect(task.task_id, effect)
            durable = self._writer.write(Decision(entry, contribution if isinstance(effect, Reported) else None))
            if isinstance(effect, Closed):
                self._commit(task)
        if effects:
            self._watchers.notify(task.task_id)
        if durable is not None:
            await durable

    async def settle(self, task: OpenTask, effects: Sequence[Effect], contribution: Contribution | None = None) -> None:
        """Returns when everything that an answer about an assignment rests on is durable, not its own effects only.

        A refusal makes a device throw its contribution away. If the power failed before the cause of the refusal was
        durable, that would be for nothing: after the restart the round would be open as before.

        Raises:
            StoppedError: it has not become durable.
        """
        if effects:
            await self.record(task, effects, contribution)
        else:
            await self.written()

    def run(self, work: Callable[[], R]) -> asyncio.Future[R]:
        """Runs work on the writing thread, after everything that is queued."""
        return self._writer.run(work)

    def confirm(self) -> asyncio.Future[None]:
        """Waits until a commit has shown that the ledger is still this coordinator's."""
        return self._writer.run(self._storage.confirm)

    def written(self) -> asyncio.Future[None]:
        """Waits until everything that is queued is durable."""
        return self._writer.run(lambda: None)

    def create_task(self, task_id: str, bundle: Bundle) -> asyncio.Future[tuple[TaskRow, OpenTask]]:
        """Stores a new task with its blobs."""
        return self._writer.run(partial(self._storage.create_task, task_id, bundle, self._clock()))

    def succeed(self, old_id: str, task_id: str, bundle: Bundle) -> asyncio.Future[tuple[TaskRow, TaskRow, OpenTask]]:
        """Ends a task, in whose open round nobody has a place, and starts its successor; see `Storage.succeed`."""
        return self._writer.run(partial(self._storage.succeed, old_id, task_id, bundle, self._clock()))

    def change_state(self, task_id: str, state: TaskState.ValueType) -> asyncio.Future[TaskRow]:
        """Moves a task to another state, unless it is over after the commits that are queued; returns its row."""
        changed = self._writer.run(partial(self._storage.change_state, task_id, state, self._clock()))
        changed.add_done_callback(self._replace)
        return changed

    def why_lost(self, task_id: str, target: int) -> asyncio.Future[str | None]:
        """Says why a task cannot be put back to the model after `target` rounds; None: it can."""
        return self._writer.run(partial(self._storage.kept.why_lost, task_id, target))

    def put_back(self, task_id: str, target: int) -> asyncio.Future[TaskRow]:
        """Puts a task back to the model after `target` rounds, which is kept; returns its row.

        An open round must be collecting. It decides nothing more, and begins anew once the change is durable.
        """
        task = self._tasks.open_task(task_id)
        if task is not None:
            task.round.stop()
        changed = self._writer.run(partial(self._storage.put_back, task_id, target, self._clock()))
        return asyncio.ensure_future(self._begin_anew(task, target, changed))

    async def _begin_anew(
        self, task: OpenTask | None, target: int, changed: asyncio.Future[tuple[TaskRow, RoundRow | None]]
    ) -> TaskRow:
        row, opened = await changed
        _log.warning("task %s: put back to the model after %d rounds", row.task_id, target)
        if task is not None and opened is not None and self._tasks.open_task(row.task_id) is task:
            self._metrics.round_over(row.task_id)
            task.begin_anew(opened.attempt, opened.opened)
        self._tasks.replace(row)
        self._watchers.notify(row.task_id)
        return row

    def rounds(self, task_id: str, first: int, limit: int) -> asyncio.Future[list[RoundSummary]]:
        """Reads the rounds of a task from `first` on, oldest first, at most `limit`."""
        return self._writer.run(partial(self._storage.rounds, task_id, first, limit))

    def recall(self, keys: Collection[bytes]) -> asyncio.Future[dict[bytes, AssignmentRow]]:
        """Reads those of some assignments that there are, of any round, by id."""
        return self._writer.run(partial(self._storage.recall, list(keys)))

    def frozen(self, task: OpenTask) -> asyncio.Future[Frozen]:
        """Reads what the unmasker is shown of a task's opening round."""
        return self._writer.run(partial(self._storage.hidden.frozen, task.task_id))

    def opened(self, task: OpenTask, answer: Answer) -> None:
        """Stores that the sum of a task's opening round has been opened, and commits the round."""
        task.round.open()
        key = (task.task_id, task.round.number, task.round.attempt)
        self._writer.run(partial(self._storage.hidden.opened, key, answer, self._clock()))
        self._commit(task)
        self._watchers.notify(task.task_id)

    def skip(self, task: OpenTask, reason: str) -> asyncio.Future[TaskRow]:
        """Gives the open round of a task up, which is collecting or opening, and opens the next; returns its row."""
        at, number = self._clock(), task.round.number
        task.round.stop()
        ended = self._writer.run(partial(self._storage.commits.skip, task.task_id, number, reason, at))
        return asyncio.ensure_future(self._skipped(task, at, ended))

    async def _skipped(self, task: OpenTask, at: float, ended: asyncio.Future[Ended]) -> TaskRow:
        row = (await ended).row
        self._advance(task, at, ended)
        return row

    def see(self, identity: bytes, head: bytes) -> asyncio.Future[None]:
        """Stores the newest head of an unmasker's log."""
        return self._writer.run(partial(self._storage.hidden.openings.see, identity, head))

    def seen(self, identity: bytes) -> asyncio.Future[bytes]:
        """Reads the newest head of an unmasker's log; empty: none was seen."""
        return self._writer.run(partial(self._storage.hidden.openings.seen, identity))

    def _commit(self, task: OpenTask) -> None:
        at, round = self._clock(), task.round
        commit = partial(self._storage.commits.commit, task.task_id, task.spec, round.number, round.attempt, at)
        self._writer.run(commit).add_done_callback(partial(self._advance, task, at))

    def _advance(self, task: OpenTask, at: float, over: asyncio.Future[Ended]) -> None:
        if over.exception() is not None:
            return  # the coordinator has turned itself off
        row, round = over.result().row, task.round
        if reason := over.result().skipped:
            _log.error("task %s: round %d was skipped: %s", row.task_id, round.number, reason)
        else:
            _log.info("task %s: round %d committed with %d contributions", row.task_id, round.number, round.reported)
        self._metrics.round_ended(self._end_of(row, task, at, skipped=bool(reason)))
        stopped_meanwhile = self._tasks.open_task(row.task_id) is not task
        if not stopped_meanwhile:
            if row.open:
                task.next_round(at)
            else:
                self._tasks.close(task)
            self._metrics.round_over(row.task_id, task.round.live_ids() if row.open else ())
        self._tasks.replace(row)
        self._watchers.notify(row.task_id)

    def _end_of(self, row: TaskRow, task: OpenTask, closed: float, skipped: bool) -> RoundEnd:
        round, hidden = task.round, task.spec.hidden
        known = (row.task_id, row.population, round.number, round.attempt, round.reported, hidden)
        return RoundEnd(*known, round.opened, round.frozen, closed, self._clock(), skipped)

    def _replace(self, changed: asyncio.Future[TaskRow]) -> None:
        if changed.exception() is None:  # else the coordinator has turned itself off
            self._tasks.replace(changed.result())
