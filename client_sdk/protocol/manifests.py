"""Reads the manifests of tasks, and refuses those that this SDK cannot run."""

from client_sdk.errors import MissingFeatureError, UnsupportedTaskError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import erasers, features, manifest, matchings
from fedau2.wire.errors import ManifestError

FEATURES: frozenset[str] = features.KNOWN
"""Names of the features that this SDK has; a task that requires another is refused.

Anybody may recommend from the model of a task with secure sums. `Trust.expect_secure` says who contributes to it.
"""


def parse(data: bytes) -> TaskManifest:
    """Reads and checks a serialised manifest.

    Raises:
        MissingFeatureError: it requires a feature that this SDK does not have.
        UnsupportedTaskError: it cannot be run for another reason.
    """
    try:
        task = manifest.read(data)
        # First, because the fields that come with a feature would be refused with a text that does not name it.
        if missing := set(task.required_features) - FEATURES:
            lacking = tuple(sorted(missing))
            names = ", ".join(lacking)
            raise MissingFeatureError(
                f"the task requires what this SDK does not have ({names}): update the app to a newer fedau2", lacking
            )
        manifest.check(task)
        matchings.check_hidden(task)
        erasers.check_hidden(task)
    except ManifestError as error:
        raise UnsupportedTaskError(str(error)) from error
    return task
