"""The eraser of a plan: what a device computes from the maps of a checkpoint, and from its own key and classes.

A device moves its state x by the published maps:

    y = x A + b;  z = y / d;  for each step: z = z - gradient(z);  z d + noise

A and b are the linear map, d are the standard deviations of y, and `fedau2.erasing.kernel` says what the gradient is.
All of this is the same whatever the user's class is. With shifts, a device that knows all of its classes takes
y = x + s instead, where s is the sum of the shifts of its classes (`fedau2.erasing.shifts`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
        shifts: of the classes, (classes, width); 0 for a class without a shift.
        shifted: 1 for the classes that have a shift, (classes,).
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
    shifts: Array
    shifted: Array
    live: np.float32
    inverse: np.float32

    @classmethod
    def of(cls, plan: EraserPlan, tensors: Mapping[str, Array]) -> "Maps":
        """Reads the tensors of a checkpoint."""
        linear, steps = tensors[erasers.LINEAR], tensors[erasers.STEPS][:, : plan.classes]
        classes = tensors[erasers.CLASSES][: plan.classes] * np.float32(plan.shifts)
        width, live = len(linear) - 1, bool(linear[0, 0] > 0)
        unit = matchings.unit(tensors[erasers.SCALE])
        widths = plan.widths or (width,)
        drawn = [kernel.public(plan.seed, step, plan.frequencies, widths) for step in range(plan.steps)]
        return cls(
            matrix=linear[1:, 1:].copy() if live else np.eye(width, dtype=np.float32),
            offset=linear[0, 1:].copy(),
            scale=np.where(linear[1:, 0] > 0, linear[1:, 0], np.float32(1)),
            deviation=np.maximum(linear[1:, 0], np.float32(0)),
            frequencies=np.array(drawn, np.float32),
            witness=steps[:, :, 1:].copy(),
            shift=steps[:, :, 0].copy(),
            shifts=classes[:, 1:].copy(),
            shifted=(classes[:, 0] > 0).astype(np.float32),
            live=np.float32(live),
            inverse=np.float32(1 / unit if unit else 0),
        )

    def of_user(self, plan: EraserPlan, labels: Mapping[str, int]) -> "Maps":
        """Returns the maps by which a user's state is moved: shifts are the linear map's offset, where there are any.

        Args:
            plan: the eraser.
            labels: the user's class numbers by name, as far as they are known.
        """
        whole, (shift,) = self.own_shifts(plan, {name: [labels.get(name, -1)] for name, _ in plan.erased})
        return replace(self, matrix=np.eye(len(shift), dtype=np.float32), offset=shift) if whole.all() else self

    def own_shifts(
        self, plan: EraserPlan, labels: Mapping[str, NDArray[np.int64] | Sequence[int]]
    ) -> tuple[NDArray[np.bool_], Array]:
        """Returns which users have shifts of all erased attributes, (users,), and their sums, (users, width).

        The sums of other users are 0.

        Args:
            plan: the eraser.
            labels: the users' class numbers by name, -1 where an attribute is not known.
        """
        known = np.stack([np.asarray(labels[name]) for name, _ in plan.erased], 1)
        rows = np.maximum(known, 0) + plan.starts
        whole = (known >= 0).all(1) & (self.shifted[rows] > 0).all(1)
        return whole, self.shifts[rows].sum(1) * whole[:, None].astype(np.float32)

    def noise(self, plan: EraserPlan, key: bytes, version: int) -> Array:
        """Returns the floor of one client, (width,). A number that is the same for all users gets none.

        Only its scale changes from checkpoint to checkpoint. With shifts all of it does: if the noise stayed, what is
        shown would change by the change of the class's shift, which is published.

        Args:
            plan: the eraser.
            key: the client's 16 secret bytes.
            version: round of the checkpoint.
        """
        rng = draws.generator(key, version if plan.shifts else 0, Stream.FLOOR)
        drawn = rng.standard_normal(len(self.deviation), np.float32)
        return np.asarray(np.float32(plan.floor) * self.live * self.deviation * drawn)


def of(task: TaskManifest, tensors: Mapping[str, Array]) -> tuple[EraserPlan, Maps] | None:
    """Returns the eraser of a task with the maps of a checkpoint; None if it has none."""
    if not task.plan.HasField("eraser"):
        return None
    plan = EraserPlan.of(task.plan.eraser, erasers.widths(task))
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
    clients = np.arange(len(keys))
    folds = [int(draws.generator(key, 0, Stream.FOLD).integers(erasers.FOLDS)) for key in keys]
    known = np.stack([np.asarray(labels[name]) for name, _ in plan.erased])
    for label, start in zip(known, plan.starts, strict=True):
        marks[clients, folds, start + np.maximum(label, 0)] = (known >= 0).all(0)
    return marks.reshape(len(keys), -1)
