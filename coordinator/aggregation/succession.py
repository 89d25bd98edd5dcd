"""Begins a successor's checkpoint and server state with those of the task that it replaces."""

import numpy as np

from coordinator.aggregation import clip, erasing
from coordinator.errors import BlobLostError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, erasers, succession
from fedau2.wire.blobs import Tensors
from fedau2.wire.errors import BlobError
from fedau2.wire.succession import Succession


def way(old: bytes, new: bytes) -> Succession:
    """Returns the way from one catalogue to another.

    Args:
        old: the catalogue blob of the task that is replaced.
        new: the successor's.

    Raises:
        BlobLostError: one of them is not a catalogue.
    """
    try:
        return Succession.of(blobs.catalogue(old), blobs.catalogue(new))
    except BlobError as error:
        raise BlobLostError(f"a catalogue cannot be read: {error}") from error


def follow(
    old: TaskManifest, new: TaskManifest, way: Succession, checkpoint: Tensors, state: Tensors, fresh: Tensors
) -> tuple[Tensors, Tensors]:
    """Carries a running task's newest model over to its successor.

    Args:
        old: manifest of the running task.
        new: manifest of the successor.
        way: from the one catalogue to the other.
        checkpoint: the running task's tensors.
        state: its server state, see `optimizers.server_step`.
        fresh: the successor's own first checkpoint, which has the numbers of new items.

    Returns:
        The successor's checkpoint and server state. New items begin with moments of 0. The medians of contributions'
        norms go on, because devices contribute as before. The averages of an eraser go on with its maps.
    """
    carried, specs = succession.carry(old, new, way, checkpoint, fresh), {spec.name: spec for spec in new.tensors}
    moments = clip.kept(state) | (erasing.kept(state) if erasers.continues(old, new) else {})
    for name in carried:
        for moment in ("first", "second"):
            if (key := f"{name}.{moment}") in state:
                value = way.carried(specs[name], state[key], np.zeros_like(fresh[name]))
                assert value is not None, "moments have the shape of their tensor"
                moments |= {key: value, f"{name}.steps": state[f"{name}.steps"]}
    return fresh | carried, moments
