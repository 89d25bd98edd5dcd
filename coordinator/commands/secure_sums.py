"""Texts of the commands about tasks with secure sums."""

import time
from collections.abc import Iterator

from coordinator.model import uncounted
from fedau2.v1 import admin_pb2
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.secure import crowd

MANY = ", more than a tenth: ask the unmasker's operator why"
"""Added to a number of refusals that is a reason to ask."""


def describe(task: admin_pb2.Task) -> str:
    """Says in one line how the secure sums of a task go."""
    return f"  secure sums: {'; '.join(_parts(task))}"


def _parts(task: admin_pb2.Task) -> Iterator[str]:
    status = task.secure_sums
    if status.HasField("opening_since"):
        yield f"waits for the sum of round {task.round} since {_age(time.time() - status.opening_since.seconds)}"
    elif not status.keyed:
        yield f"waits for the key of round {task.round}"
    else:
        yield "collecting"
    if status.refused:
        many = uncounted.are_many(status.refused, task.reported + status.refused)
        yield f"{status.refused} refused{MANY if many else ''}"
    if status.epsilon:
        yield f"epsilon at most {status.epsilon:.3g} at delta {status.delta:g}"
    if status.seen.size:
        yield f"log of the unmasker seen up to entry {status.seen.size}"
    if status.last_error:
        yield status.last_error


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def warning(task: TaskManifest, touched: float) -> str:
    """Says how much of each sum stays closed, for an operator who creates a task."""
    sums = task.secure_sums
    if not touched:
        return (
            f"secure sums: for {crowd.LEAST:g} devices a row, a device of {sums.minimum} must touch "
            f"{crowd.LEAST * task.items / sums.minimum:,.0f} of {task.items:,} rows; rows that fewer than "
            f"{sums.row_threshold} devices touch stay closed"
        )
    mean = crowd.crowd(sums.minimum, touched, task.items)
    share = crowd.closed(mean, sums.row_threshold if sums.row_threshold > 1 else 0)
    return (
        f"secure sums: {sums.minimum} devices that touch {touched:g} of {task.items:,} rows make {mean:.1f} a row; "
        f"{share:.1%} of the rows stay closed"
    )
