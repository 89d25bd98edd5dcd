"""Wakes those who watch a task when it changes."""

import asyncio


class Watchers:
    """One event per watched task, made for its watchers and set once. Used on one event loop."""

    def __init__(self) -> None:
        self._next: dict[str, asyncio.Event] = {}

    def next_change(self, task_id: str) -> asyncio.Event:
        """Returns the event that the task's next change sets."""
        return self._next.setdefault(task_id, asyncio.Event())

    def notify(self, task_id: str) -> None:
        """Wakes the watchers of a task that has changed."""
        if event := self._next.pop(task_id, None):
            event.set()

    def notify_all(self) -> None:
        """Wakes the watchers of every task."""
        for task_id in list(self._next):
            self.notify(task_id)
