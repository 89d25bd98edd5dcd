"""Passes: rounds between two steps of the recommender in which only what unlearns learns.

A round's number and the plan say if it is a pass, so no message has to.
"""

from fedau2.v1.task_pb2 import Plan, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY
from fedau2.wire.checks import require

FEATURE = "passes"
"""The feature that a task with passes requires: a device must know in which rounds the recommender stays as it is."""

MOST = 1_000
"""Largest `ServerStep.passes`."""


def moves(passes: int, round_number: int) -> bool:
    """Returns True if a round moves the recommender and private tensors, False if it is a pass.

    Args:
        passes: of the plan.
        round_number: of the round.
    """
    return round_number % (passes + 1) == 0


def unlearns(plan: Plan) -> bool:
    """Returns True if something of a plan learns in passes."""
    return bool(plan.adversaries or plan.matchings) or plan.HasField("eraser")


def check(task: TaskManifest) -> None:
    """Checks the passes of a manifest, if it has them.

    Raises:
        ManifestError: the text says what is wrong.
    """
    server = task.plan.server
    if not server.passes:
        return
    require(server.passes <= MOST, f"server.passes is at most {MOST}, not {server.passes}")
    require(FEATURE in task.required_features, f"the plan has passes, and the manifest does not require {FEATURE!r}")
    require(
        unlearns(task.plan),
        "server.passes must be 0 without adversaries, matchings and an eraser: nothing would learn in these rounds",
    )
    require(
        not server.HasField("buffered"),
        "server.most_stale must be 0 with passes: a late contribution to the recommender would come to a round that "
        "does not move it",
    )
    require(
        not server.clip_medians,
        "server.clip_medians must be 0 with passes: contributions of passes are shorter, so no median fits both",
    )
    along_items = [spec.name for spec in task.tensors if spec.scope == TENSOR_SCOPE_ADVERSARY and spec.item_axis]
    require(
        not along_items or task.secure_sums.row_threshold <= 1,
        "server.passes must be 0 where an adversary sees numbers of each item and secure sums have a row threshold: in "
        f"passes devices touch no row, so all of {', '.join(along_items)} would stay closed",
    )
