"""The eraser of a plan: what a device computes from the maps of a checkpoint, and from its own key and classes.

A device moves its state x by the published maps, whatever its class is and whether it is known:

    y = x A + b;  z = y / d;  for each step: z = z - gradient(z);  z d + noise

A and b are the linear map, d are the standard deviations of y, and `fedau2.erasing.kernel` says what the gradient is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.draws import Stream
from client_sdk.plan import EraserPlan
from fedau2.erasing import kernel
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import erasers, matchings

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps that a checkpoint publishes.

    Attributes:
        matrix: A, (width, width).
        offset: b, (width,).
        scale: d, or 1 where it is not known or 0, (width,).
        deviation: d, or 0 where it is not known, (width,). Only the floor of noise depends on it, and no graph does.
        frequencies: of the steps, (steps, frequencies, width).
        witness: of the steps, (steps, classes, 2 * frequencies); 0: the step moves nothing.
        shift: products of the witnesses with everybody's mean features, (steps, classes).
        live: 1 if there are maps, else 0.
        inverse: 1 over the unit in which states are summed; 0 if it is not known yet, and then none are.
    """

    matrix: Array
    offset: Array
    scale: Array
    deviation: Array
    frequencies: Array
    witness: Array
    shift: Array
    live: np.float32
    inverse: np.float32

    @classmethod
    def of(cls, plan: EraserPlan, tensors: Mapping[str, Array]) -> "Maps":
        """Reads the tensors of a checkpoint."""
        linear, steps = tensors[erasers.LINEAR], tensors[erasers.STEPS][:, : plan.classes]
        width, live = len(linear) - 1, bool(linear[0, 0] > 0)
        unit = matchings.unit(tensors[erasers.SCALE])
        drawn = [kernel.public(plan.seed, step, plan.frequencies, width) for step in range(plan.steps)]
        return cls(
            matrix=linear[1:, 1:].copy() if live else np.eye(width, dtype=np.float32),
            offset=linear[0, 1:].copy(),
            scale=np.where(linear[1:, 0] > 0, linear[1:, 0], np.float32(1)),
            deviation=np.maximum(linear[1:, 0], np.float32(0)),
            frequencies=np.array(drawn, np.float32),
            witness=steps[:, :, 1:].copy(),
            shift=steps[:, :, 0].copy(),
            live=np.float32(live),
            inverse=np.float32(1 / unit if unit else 0),
        )

    def noise(self, plan: EraserPlan, key: bytes) -> Array:
        """Returns the floor of one client, (width,). Only its scale changes from checkpoint to checkpoint.

        A number that is the same for all users gets none.
        """
        drawn = draws.generator(key, 0, Stream.FLOOR).standard_normal(len(self.deviation), np.float32)
        return np.asarray(np.float32(plan.floor) * self.live * self.deviation * drawn)


def of(task: TaskManifest, tensors: Mapping[str, Array]) -> tuple[EraserPlan, Maps] | None:
    """Returns the eraser of a task with the maps of a checkpoint; None if it has none."""
    if not task.plan.HasField("eraser"):
        return None
    plan = EraserPlan.of(task.plan.eraser)
    return plan, Maps.of(plan, tensors)


def places(plan: EraserPlan, keys: Sequence[bytes], labels: Mapping[str, NDArray[np.int64] | Sequence[int]]) -> Array:
    """Marks the rows of sums that clients add to, (clients, folds * classes).

    A client's fold is drawn from its key, and is the same in each round. A client adds to nothing if one of its
    attributes is not known.

    Args:
        plan: the eraser.
        keys: the clients' 16 secret bytes.
        labels: their class numbers by name, -1 where an attribute is not known.
    """
    marks = np.zeros((len(keys), erasers.FOLDS, plan.classes), np.float32)
    clients, starts = np.arange(len(keys)), np.cumsum([0, *(classes for _, classes in plan.erased)])
    folds = [int(draws.generator(key, 0, Stream.FOLD).integers(erasers.FOLDS)) for key in keys]
    known = np.stack([np.asarray(labels[name]) for name, _ in plan.erased])
    for label, start in zip(known, starts, strict=False):
        marks[clients, folds, start + np.maximum(label, 0)] = (known >= 0).all(0)
    return marks.reshape(len(keys), -1)
