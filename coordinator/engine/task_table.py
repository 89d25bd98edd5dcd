"""The one place where the event loop keeps tasks: their rows, and the open rounds of those that have one."""

from collections.abc import Iterable

from coordinator.errors import UnknownError
from coordinator.model.open_task import OpenTask
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED


class TaskTable:
    """All tasks as they were last stored, and those that are open. Used on one event loop.

    A row is replaced once a change of it is durable. A task stops being open as soon as its end has been decided.

    Args:
        rows: all tasks, oldest first.
        open_tasks: the tasks that have an open round.
    """

    def __init__(self, rows: Iterable[TaskRow], open_tasks: Iterable[OpenTask]) -> None:
        self._rows = {row.task_id: row for row in rows}
        self._open = {task.population: task for task in open_tasks}  # a population has one open task at most
        self._newest = {row.population: row.task_id for row in self._rows.values()}

    def rows(self) -> list[TaskRow]:
        """Lists all tasks, oldest first."""
        return list(self._rows.values())

    def row(self, task_id: str) -> TaskRow:
        """Returns a task as it was last stored.

        Raises:
            UnknownError: there is no task of that id.
        """
        if task_id not in self._rows:
            raise UnknownError(f"no task {task_id!r}")
        return self._rows[task_id]

    def open_tasks(self) -> list[OpenTask]:
        """Lists all open tasks."""
        return list(self._open.values())

    def open_task(self, task_id: str) -> OpenTask | None:
        """Returns the task of this id, if it is open.

        Raises:
            UnknownError: there is no task of that id.
        """
        task = self._open.get(self.row(task_id).population)
        return task if task is not None and task.task_id == task_id else None

    def open_task_of(self, population: str) -> OpenTask | None:
        """Returns the open task of a population, if it has one."""
        return self._open.get(population)

    def newest_of(self, population: str) -> TaskRow | None:
        """Returns the newest task of a population, open or over; None if the population never had one."""
        task_id = self._newest.get(population)
        return None if task_id is None else self._rows[task_id]

    def holder(self, assignment_id: bytes) -> OpenTask | None:
        """Returns the task whose open round has made this assignment, if there is one."""
        return next((task for task in self._open.values() if assignment_id in task.round), None)

    def add(self, row: TaskRow, task: OpenTask) -> None:
        """Adds a new task, which is stored."""
        self._rows[row.task_id] = row
        self._newest[row.population] = row.task_id
        self._open[task.population] = task

    def succeed(self, ended: TaskRow, row: TaskRow, task: OpenTask) -> None:
        """Puts a successor in the place of a task that has ended with it; both are stored."""
        self._rows[ended.task_id] = ended
        self.add(row, task)

    def close(self, task: OpenTask) -> None:
        """Takes a task off the open ones, because its end has been decided."""
        if self._open.get(task.population) is task:
            del self._open[task.population]

    def replace(self, row: TaskRow) -> None:
        """Replaces a task's row with one that has become durable, and pauses or resumes its open round with it."""
        self._rows[row.task_id] = row
        if (task := self.open_task(row.task_id)) is not None:
            task.round.paused = row.state == TASK_STATE_PAUSED
