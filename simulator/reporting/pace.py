"""Estimates the time that is left from the speed of late."""

import time
from collections import deque
from collections.abc import Callable

_AT_ONCE = 0.2
"""Parts that end within so many seconds count as one event, since attackers work on several splits at a time."""

_WINDOW = 60.0
"""Seconds that the speed of late goes back."""

_LEAST = 4
"""Events that the speed is taken from at least, however long ago they were."""


class Pace:
    """The speed of one phase, and the time that is left of it.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.start(0)

    def start(self, total: int, done: int = 0) -> None:
        """Begins a phase of `total` parts; `done` parts are done already."""
        self._total = total
        self._events: deque[tuple[float, int]] = deque([(self._clock(), done)])

    def advance(self) -> None:
        """Counts a part as done."""
        now, done = self._clock(), self._events[-1][1] + 1
        if len(self._events) > 1 and now - self._events[-1][0] < _AT_ONCE:
            self._events[-1] = (self._events[-1][0], done)
        else:
            self._events.append((now, done))
        while len(self._events) > _LEAST and now - self._events[0][0] > _WINDOW:
            self._events.popleft()

    def left(self) -> float | None:
        """Returns the seconds that are left; None if no part is done yet."""
        (began, first), (ended, done) = self._events[0], self._events[-1]
        if done == first:
            return None
        rest = (self._total - done) * (ended - began) / (done - first)
        return max(0.0, rest - (self._clock() - ended))
