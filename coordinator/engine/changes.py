"""Tells whoever watches a task that something has changed."""

import asyncio


class Changes:
    """One event per watched task, made for its watchers and set once. Used on one event loop."""

    def __init__(self) -> None:
        self._next: dict[str, asyncio.Event] = {}

    def next(self, task_id: str) -> asyncio.Event:
        """Set by the next change of the task."""
        return self._next.setdefault(task_id, asyncio.Event())

    def notify(self, task_id: str) -> None:
        """The task has changed."""
        if event := self._next.pop(task_id, None):
            event.set()

    def notify_all(self) -> None:
        """Every task may have changed."""
        for task_id in list(self._next):
            self.notify(task_id)
