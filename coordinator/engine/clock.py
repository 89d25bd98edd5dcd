"""Time that never jumps, whatever happens to the system's clock."""

import logging
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

TOLERANCE = 5.0
"""Seconds by which the system's clock may leave this one before it is said."""


class MonotonicClock:
    """The system's clock as it was at the start, plus monotonic time since; called, it says seconds since 1970.

    So leases and deadlines keep their lengths while the process lives. A jump of the system's clock is logged once, at
    the next call, and takes effect when the coordinator is started again (`model.rounds.Round`, argument `now`).

    Args:
        wall: seconds since 1970, by a clock that people may set.
        monotonic: seconds since any moment.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._start = wall() - monotonic()
        self._noted = 0.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        now = self._start + self._monotonic()
        ahead = self._wall() - now
        if abs(ahead - self._noted) > TOLERANCE:
            _log.warning(
                "the system's clock jumped by %+.1f s; rounds go on by the time since the start, which it now differs "
                "from by %+.1f s",
                ahead - self._noted,
                ahead,
            )
            self._noted = ahead
        return now
