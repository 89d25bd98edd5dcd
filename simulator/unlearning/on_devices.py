"""The maps of a plan's eraser, as a checkpoint publishes them and as every device applies them."""

import numpy as np
from numpy.typing import NDArray

from client_sdk import erasing
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.unlearning import renewal
from simulator.unlearning.erasure import Eraser
from simulator.unlearning.kernel_steps import Step
from simulator.unlearning.renewal import Maps


def maps(task: TaskManifest, checkpoint: Tensors) -> Maps:
    """Returns the maps of a model version; none if the plan has no eraser, or nothing is published yet."""
    known = erasing.of(task, checkpoint)
    if known is None or not known[1].live:
        return ()
    plan, published = known
    removed = np.eye(len(published.scale)) - published.matrix.astype(np.float64)
    directions = sum(classes - 1 for _, classes in plan.erased)
    strength = float(np.trace(removed)) / directions
    mean = published.offset.astype(np.float64) @ np.linalg.pinv(removed)
    linear = Eraser(mean, removed / strength if strength else removed, strength)
    parts = zip(published.frequencies, published.witness, published.shift, strict=True)
    centre, scale = np.zeros(len(removed)), published.scale.astype(np.float64)
    steps = [
        Step(
            centre,
            scale,
            frequencies.astype(np.float64),
            witness.astype(np.float64),
            shift.astype(np.float64),
            length=1.0,
        )
        for frequencies, witness, shift in parts
        if witness.any()
    ]
    return linear, *steps


def moved(
    maps: Maps, published: erasing.Maps, states: NDArray[np.float32], labels: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    """Moves users' states by the maps of a checkpoint, (users, width).

    Args:
        maps: of the checkpoint, as the function `maps` returns them.
        published: the same, as devices read them.
        states: (users, width).
        labels: class numbers of the attribute, -1 where a device does not know it; None: the plan has no shifts.
    """
    if not maps:
        return states.copy()
    aligned = maps[0](states)
    if labels is not None:
        whole, shifts = published.own_shifts(labels)
        aligned[whole] = states[whole] + shifts[whole]
    return renewal.applied(maps[1:], aligned)
