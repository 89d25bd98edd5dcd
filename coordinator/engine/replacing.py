"""Waits for the moment at which a task's successor can start in its place."""

from collections.abc import Callable

from coordinator.engine.durability import Durability
from coordinator.engine.task_table import TaskTable
from coordinator.engine.watchers import Watchers
from coordinator.errors import BusyError, StoppedError, TaskOverError
from coordinator.model.open_task import OpenTask


async def hold_untouched(
    task: OpenTask, tasks: TaskTable, durability: Durability, watchers: Watchers, draining: Callable[[], bool]
) -> None:
    """Returns when nobody has a place in the open round of a task, and keeps it so.

    Until then the round goes on, and the next one takes nobody. If the wait ends with an error, rounds go on as before.

    Raises:
        BusyError: another successor waits already.
        TaskOverError: the task has ended meanwhile.
        StoppedError: the coordinator is shutting down, or has turned itself off.
    """
    if task.held:
        text = "waits already for the end of its round, and the coordinator takes one at a time"
        raise BusyError(f"a successor of task {task.task_id} {text}")
    task.held = True
    try:
        while True:
            durability.check()
            if draining():
                raise StoppedError("the coordinator is shutting down; replace the task when it is back")
            expect_open(task, tasks)
            if task.round.untouched:
                task.round.held = True
                return
            await watchers.next_change(task.task_id).wait()
    except BaseException:
        task.held = task.round.held = False
        raise


def expect_open(task: OpenTask, tasks: TaskTable) -> None:
    """Returns if a task that a successor waits for is still open.

    Raises:
        TaskOverError: it has ended meanwhile.
    """
    if tasks.open_task(task.task_id) is not task:
        raise TaskOverError(f"task {task.task_id} has ended meanwhile; create another that goes on from it")
