"""Chooses the aggregator of a task."""

from coordinator.aggregation import aggregators
from coordinator.aggregation.aggregators import Aggregator
from coordinator.aggregation.clip import Clip
from coordinator.aggregation.robust import MEDIAN, Robust
from fedau2.v1.task_pb2 import AGGREGATION_MEDIAN, AGGREGATION_UNSPECIFIED, ClosingRule, TaskManifest
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors

KEPT = 2 * 2**30
"""Most bytes of contributions that a round with robust aggregation may have to keep in memory."""


def of(task: TaskManifest, closing: ClosingRule, state: Tensors) -> Aggregator:
    """Makes the aggregator of a round that a checked manifest and a checked closing rule ask for.

    Args:
        task: the manifest.
        closing: the closing rule.
        state: the server's state before the round.
    """
    if closing.aggregation == AGGREGATION_UNSPECIFIED:
        return aggregators.of(task, state=state)
    trim, server = MEDIAN if closing.aggregation == AGGREGATION_MEDIAN else closing.trim, task.plan.server
    return Robust(manifest.shared(task), trim, Clip(server.clip_norm, server.clip_medians, state))


def why_not(task: TaskManifest, closing: ClosingRule, largest: int) -> str:
    """Says why a task cannot have the aggregation that its closing rule names; empty: it can.

    Args:
        task: the manifest.
        closing: the closing rule.
        largest: most bytes of a contribution.
    """
    if closing.aggregation == AGGREGATION_UNSPECIFIED:
        return ""
    if task.HasField("secure_sums"):
        return "a task with secure sums has the mean: nobody reads its single contributions"
    if task.plan.server.HasField("buffered"):
        return (
            "buffered rounds have the mean: a median or a trimmed mean counts heads, and several late contributions of "
            "one device may be in a buffer"
        )
    if (kept := 2 * largest * closing.maximum) > KEPT:  # eight bytes for each float32
        return (
            f"a median or a trimmed mean keeps the contributions of a round in memory: here up to {kept} bytes, and at "
            f"most {KEPT} are allowed; lower `maximum`"
        )
    return ""
