"""The maps of a plan's eraser, as a checkpoint publishes them and as every device applies them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client_sdk import erasing
from client_sdk.plan import EraserPlan
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.datasets import Attribute
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


def own_shifts(
    task: TaskManifest, plan: EraserPlan, published: erasing.Maps, attributes: Mapping[str, Attribute]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Returns which users have shifts of all that a plan's eraser erases, and their sums; see `erasing.Maps`.

    Args:
        task: its plan has an eraser.
        plan: the eraser, as devices read it.
        published: the maps of a model version.
        attributes: by name, as far as devices know them.
    """
    labels = {part.name: attributes[part.attribute].labels for part in task.plan.eraser.erased}
    return published.own_shifts(plan, labels)


def moved(
    maps: Maps, states: NDArray[np.float32], own: tuple[NDArray[np.bool_], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Moves users' states by the maps of a checkpoint, (users, width).

    Args:
        maps: of the checkpoint, as the function `maps` returns them.
        states: (users, width).
        own: True for users who have shifts, and the shifts, see `own_shifts`.
    """
    if not maps:
        return states.copy()
    aligned, (whole, shifts) = maps[0](states), own
    aligned[whole] = states[whole] + shifts[whole]
    return renewal.applied(maps[1:], aligned)
