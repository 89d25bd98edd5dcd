"""Ends runs of a graph whose time is over. One thread serves all runs, and exists only while there are runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Protocol

_GRACE = 1.0
"""Seconds within which the thread ends when no run is left; waking it at the end of every run would cost more."""


class Stoppable(Protocol):
    """A run's options: setting `terminate` ends the run between two nodes."""

    terminate: bool


class Watchdog:
    """Watches any number of runs. A thread for each run would cost as much as a local step."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._runs: dict[int, tuple[float, Stoppable]] = {}
        self._wakes: float | None = None

    @contextmanager
    def watching(self, run: Stoppable, seconds: float) -> Iterator[None]:
        """Ends a run that goes on for longer than `seconds`."""
        end = time.monotonic() + seconds
        with self._condition:
            self._runs[id(run)] = end, run
            if self._wakes is None:
                self._wakes = end
                Thread(target=self._watch, name="fedau2-watchdog", daemon=True).start()
            elif end < self._wakes:
                self._condition.notify()
        try:
            yield
        finally:
            with self._condition:
                self._runs.pop(id(run), None)

    def _watch(self) -> None:
        with self._condition:
            try:
                while self._runs:
                    self._end_late()
            finally:
                self._wakes = None

    def _end_late(self) -> None:
        now = time.monotonic()
        for key, (end, run) in list(self._runs.items()):
            if end <= now:
                run.terminate = True
                del self._runs[key]
        self._wakes = min((now + _GRACE, *(end for end, _ in self._runs.values())))
        self._condition.wait(max(0.0, self._wakes - now))


WATCHDOG = Watchdog()
"""The process's."""
