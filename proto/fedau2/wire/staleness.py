"""Buffered rounds: checks what a plan says about late contributions, for devices and for the coordinator alike."""

import math

from fedau2.v1.task_pb2 import BufferedRounds, TaskManifest
from fedau2.wire.checks import require

FEATURE = "buffered-rounds"
"""The feature that a task with buffered rounds requires: a device must know that a late contribution still counts."""

MOST = 100
"""Largest `BufferedRounds.most_stale`. The coordinator keeps as many older models, which devices may still fetch."""

MOST_EXPONENT = 10

_GRID = 2**16
"""Weights are multiples of its inverse, so the last bit of a machine's powers changes none of them."""


def weight(staleness: int, exponent: float) -> float:
    """Returns the number, above 0 and at most 1, that a contribution is multiplied by.

    Args:
        staleness: rounds that were committed from its check-in to its upload.
        exponent: the plan's.
    """
    power = math.pow(1 + staleness, -exponent)
    return max(1, round(power * _GRID)) / _GRID


def check(task: TaskManifest) -> None:
    """Checks the buffered rounds of a manifest, if it has them.

    Raises:
        ManifestError: the text says what is wrong.
    """
    server = task.plan.server
    if not server.HasField("buffered"):
        return
    _check_numbers(server.buffered)
    require(
        FEATURE in task.required_features,
        f"the plan has buffered rounds, and the manifest does not require {FEATURE!r}",
    )
    require(
        not task.HasField("secure_sums"),
        "server.most_stale must be 0 with secure sums: a device seals its contribution to the key of one round, and "
        "masked integers cannot be given weights",
    )
    require(
        not task.plan.matchings,
        "server.most_stale must be 0 with matchings: their statistics count users, and late ones would count in part",
    )
    require(
        not task.plan.HasField("eraser"),
        "server.most_stale must be 0 with an eraser: its statistics count users, and late ones would count in part",
    )


def _check_numbers(buffered: BufferedRounds) -> None:
    require(
        0 <= buffered.staleness_exponent <= MOST_EXPONENT,  # NaN is not
        f"server.staleness_exponent lies between 0 and {MOST_EXPONENT}, not at {buffered.staleness_exponent:g}",
    )
    require(
        1 <= buffered.most_stale <= MOST,
        f"server.most_stale of buffered rounds lies between 1 and {MOST}, not at {buffered.most_stale}",
    )
