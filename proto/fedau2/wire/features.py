"""The features that tasks may require, and that all programs of this version know."""

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import erasers, matchings, passes, staleness, weights
from fedau2.wire.errors import ManifestError
from fedau2.wire.secure import policy

KNOWN: frozenset[str] = frozenset(
    {
        *(weights.FEATURE, policy.FEATURE, matchings.FEATURE, staleness.FEATURE, passes.FEATURE),
        *(erasers.FEATURE, erasers.PRIVATE_FEATURE, erasers.SHIFTS_FEATURE),
    }
)
"""Their names."""


def expect_known(task: TaskManifest) -> None:
    """Checks that a coordinator knows what a task requires: it would leave out the part of a feature that is its own.

    Raises:
        ManifestError: it does not; the text names what is missing.
    """
    if missing := sorted(set(task.required_features) - KNOWN):
        raise ManifestError(
            f"the task requires what this coordinator does not have ({', '.join(missing)}): update the coordinator"
        )
