"""Time that never jumps, whatever happens to the system's clock."""

import logging
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

TOLERANCE = 5.0
"""Seconds by which the system's clock may differ from this one before that is logged."""


class MonotonicClock:
    """The system's time at the start, plus the monotonic time since. A call returns seconds since 1970.

    So leases and deadlines keep their lengths while the process lives. A jump of the system's clock is logged once, at
    the next call, and takes effect when the coordinator is started again (`RoundMachine`, argument `now`).

    Args:
        wall: seconds since 1970, by a clock that people may set.
        monotonic: seconds since any fixed moment.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._start = wall() - monotonic()
        self._noted = 0.0

    def __call__(self) -> float:
        """Returns seconds since 1970."""
        now = self._start + self._monotonic()
        ahead = self._wall() - now
        if abs(ahead - self._noted) > TOLERANCE:
            _log.warning(
                "the system's clock jumped by %+.1f s; rounds go on by the time since the start, from which it now "
                "differs by %+.1f s",
                ahead - self._noted,
                ahead,
            )
            self._noted = ahead
        return now
