"""Carries tensors over from a task to its successor: by name, and along an item axis by item id.

A device carries its private state over, the coordinator a running task's checkpoint and server state, and the builder a
trained checkpoint. All of them move the same numbers, by the functions here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import erasers, item_axes, manifest
from fedau2.wire.blobs import sha256

Array = NDArray[np.float32]


def ancestors(data: bytes) -> list[bytes]:
    """Returns the ancestors of a successor of this serialised manifest: its hash, and then its own ancestors."""
    return [sha256(data), *TaskManifest.FromString(data).ancestors][: manifest.MAX_ANCESTORS]


@dataclass(frozen=True, eq=False)
class Succession:
    """The way from one catalogue to another.

    Attributes:
        rows: for each item of the new catalogue its row in the old one, or -1; int64 (items,).
        before: number of items of the old catalogue.
    """

    rows: NDArray[np.int64]
    before: int

    @classmethod
    def of(cls, old: Sequence[str], new: Sequence[str]) -> Self:
        """Finds the items of the new catalogue in the old one, by their ids.

        >>> Succession.of(["a", "b", "c"], ["c", "d", "a"]).rows
        array([ 2, -1,  0])
        """
        known = {item: row for row, item in enumerate(old)}
        return cls(np.array([known.get(item, -1) for item in new], np.int64), len(old))

    def carried(self, spec: TensorSpec, old: Array, fresh: Array) -> Array | None:
        """Carries one tensor over.

        Args:
            spec: the tensor in the new task.
            old: its numbers in the old task. Axes may precede those of the spec, such as one of clients.
            fresh: its numbers in the new task, where nothing is known; with the same axes before.

        Returns:
            A new array: `fresh`, with the numbers of all known items, and of spans without items, from `old`. None: the
            shapes do not fit, so nothing can be carried over.
        """
        axis = item_axes.of(spec)
        if axis is None:
            return old.copy() if old.shape == fresh.shape else None
        axis += fresh.ndim - len(spec.shape)
        expected = (*fresh.shape[:axis], item_axes.length(spec, self.before), *fresh.shape[axis + 1 :])
        if old.shape != expected:
            return None
        places = self._places(spec)
        known = np.flatnonzero(places >= 0)
        out = fresh.copy()
        out[(slice(None),) * axis + (known,)] = old.take(places[known], axis)
        return out

    def _places(self, spec: TensorSpec) -> NDArray[np.int64]:
        """Returns, for each number along the item axis, its place in the old tensor, or -1."""
        parts, start = [], 0
        for per_item, others in item_axes.spans(spec):
            if per_item:
                places = start + self.rows[:, None] * per_item + np.arange(per_item)
                parts.append(np.where(self.rows[:, None] < 0, -1, places).ravel())
            else:
                parts.append(start + np.arange(others))
            start += per_item * self.before + others
        return np.concatenate(parts)


def _same_axis(old: Mapping[str, TensorSpec], spec: TensorSpec) -> bool:
    """Returns whether an old task's tensor of this name may lie along the same axis as in the new task.

    Bundles of older versions name no item axis, except that of tables.
    """
    before = old.get(spec.name)
    if before is None or (before.scope, before.dtype) != (spec.scope, spec.dtype):
        return False
    if (axis := item_axes.of(before)) is None:
        return True
    return axis == item_axes.of(spec) and list(item_axes.spans(before)) == list(item_axes.spans(spec))


def carry(
    old: TaskManifest, new: TaskManifest, way: Succession, before: Mapping[str, Array], fresh: Mapping[str, Array]
) -> dict[str, Array]:
    """Carries the tensors of a checkpoint over.

    Args:
        old: manifest of the task that is gone on from.
        new: manifest of its successor.
        way: from the one catalogue to the other.
        before: the old task's tensors by name.
        fresh: the new task's tensors by name, where nothing is known.

    Returns:
        The tensors of `fresh` that could be carried over, as `Succession.carried` gives them. Those of an eraser of
        other attributes, states or frequencies could not, whatever their shape is.
    """
    known = manifest.shared(old)
    apart = () if erasers.continues(old, new) else erasers.tensors(new.plan)
    carried = {
        name: way.carried(spec, before[name], fresh[name])
        for name, spec in manifest.shared(new).items()
        if name in before and name not in apart and _same_axis(known, spec)
    }
    return {name: value for name, value in carried.items() if value is not None}
