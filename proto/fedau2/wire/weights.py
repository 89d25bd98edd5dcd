"""Checks what a plan says about the weights of interactions, for devices and for the coordinator alike."""

from fedau2.v1.task_pb2 import InteractionWeights, TaskManifest
from fedau2.wire.errors import ManifestError

FEATURE = "interaction-weights"
"""The feature that a task with weights requires: a device that does not know it would train without them."""

MOST = 1_000
"""Largest weight in a plan."""

MOST_RATING = 1_000_000
"""Largest rating, and largest weight that an app gives."""


def check(weights: InteractionWeights) -> None:
    """Checks the weights of a plan that has some.

    Raises:
        ManifestError: the text says what is wrong.
    """
    kinds = {name: getattr(weights, name) for name in ("view", "like", "purchase", "rating")}
    for name, value in kinds.items():
        _check_range(name, value, MOST)
    for name in ("lowest_rating", "full_rating"):
        _check_range(name, getattr(weights, name), MOST_RATING)
    if not any(kinds.values()):
        raise ManifestError("interactions: no kind is a positive: one of their weights must be above 0")


def check_required(manifest: TaskManifest) -> None:
    """Checks that a task with weights keeps devices away that do not know them.

    Raises:
        ManifestError: it does not.
    """
    if manifest.plan.HasField("interactions") and FEATURE not in manifest.required_features:
        raise ManifestError(f"the plan has weights of interactions, and the manifest does not require {FEATURE!r}")


def _check_range(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most:  # NaN too
        raise ManifestError(f"interactions.{name} must be a number between 0 and {most:,}, not {value}")
