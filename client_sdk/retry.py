"""When a device comes back, in the coordinator's words."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedau2.v1 import task_pb2

LONGEST = 7 * 86400.0
"""Longest wait in seconds before the next check-in, whatever the coordinator or a changed clock says."""


@dataclass(frozen=True)
class RetryWindow:
    """The time in which the coordinator wants the next check-in, counted from the end of the sync.

    >>> RetryWindow(timedelta(minutes=5), timedelta(minutes=9)).earliest.total_seconds()
    300.0

    Attributes:
        earliest: 0 or more.
        latest: not less than `earliest`, and a week at most.
    """

    earliest: timedelta
    latest: timedelta


def window(message: "task_pb2.RetryWindow | None") -> RetryWindow | None:
    """Returns the window of a coordinator's message; None if the coordinator gave none.

    A time that is negative counts as none, one of more than a week as a week, and an end before the start as the start.
    """
    if message is None or not message.ByteSize():
        return None
    least, most = (duration.seconds + duration.nanos / 1e9 for duration in (message.delay_min, message.delay_max))
    least = min(max(least, 0.0), LONGEST)
    return RetryWindow(timedelta(seconds=least), timedelta(seconds=min(max(most, least), LONGEST)))
