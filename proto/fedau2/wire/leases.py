"""The times of a task for which the operator names none."""

import math

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import contributions, manifest

SLOWEST = 32_000
"""Bytes a second of the slowest link that shall take part."""

_MARGIN = 1.25
_TRAINING = 60.0
"""Seconds besides the transfers."""


def lease(task: TaskManifest) -> float:
    """Returns seconds in which a device on the slowest link fetches a whole bundle, trains, and uploads all it may."""
    bytes_down = sum(resource.size for resource in manifest.blobs(task))
    bytes_up = contributions.largest(manifest.shared(task).values())
    return max(300.0, math.ceil(_TRAINING + _MARGIN * (bytes_down + bytes_up) / SLOWEST))


def deadline(lease: float) -> float:
    """Returns seconds for an attempt: devices that are assigned late in it can still contribute."""
    return max(600.0, 2 * lease)
