"""The time that an app gives a sync."""

import math
import time
from collections.abc import Callable

from client_sdk import arguments
from client_sdk.errors import TimedOutError
from client_sdk.protocol.wishes import Interrupted, Outcome, Result


class Timeout:
    """A time that begins now.

    Args:
        seconds: its length; None: it never ends.
        clock: seconds since some moment.

    Raises:
        UsageError: the length is not a number above 0.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = math.inf if seconds is None else clock() + arguments.seconds("timeout", seconds)

    def left(self) -> float:
        """Returns the seconds that are left, 0 or more."""
        return max(0.0, self._end - self._clock())

    def check(self) -> float:
        """Returns the seconds that are left; a `drivers.Check`.

        Raises:
            Interrupted: none are left.
        """
        if not (left := self.left()):
            raise Interrupted
        return left

    def judge(self, outcome: Outcome | None) -> Outcome:
        """Returns the outcome of a sync, if it ended before the time did.

        Args:
            outcome: as above; None: the sync could not begin, because another was under way.

        Raises:
            TimedOutError: the end of the time has ended it.
        """
        if outcome is None:
            raise TimedOutError("another sync was under way until the time was over, so this one did not begin")
        if outcome.result is Result.INTERRUPTED and not self.left():
            raise TimedOutError(
                "the sync did not end in time; everything that was fetched is kept, and the next sync goes on"
            )
        return outcome
