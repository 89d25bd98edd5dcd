"""The vector of a contribution to a secure sum: where everything lies in it.

`[1, 0, 0, 0 | carried per tensor | clipped per tensor | touched per catalogue row | tensors in name order, row-major]`

The four canary words come first. Every device sends the whole vector, with 0 in the place of all that it does not
carry. So the sum of n vectors has n, 0, 0, 0 in front, and counts where one vector has flags.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_PRIVATE
from fedau2.wire import item_axes

CANARY = (1, 0, 0, 0)
"""The first words of every vector."""


@dataclass(frozen=True)
class ItemAxis:
    """The axis of a tensor along which the items lie.

    Attributes:
        axis: counted from 0.
        spans: numbers per item, or others, one of the two being 0, in their order along the axis.
    """

    axis: int
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """The places of everything in a task's vectors.

    Attributes:
        items: rows of the catalogue.
        shapes: of the shared and adversary tensors, by name, in name order.
        tables: names of those that are tables, in name order.
        by_item: the axes of those along which the items lie, by name, in name order; tables are among them.
    """

    items: int
    shapes: dict[str, tuple[int, ...]]
    tables: tuple[str, ...]
    by_item: dict[str, ItemAxis]

    @classmethod
    def of(cls, task: TaskManifest) -> "Layout":
        """Returns the layout of a checked manifest."""
        specs = sorted(
            (spec for spec in task.tensors if spec.scope != TENSOR_SCOPE_PRIVATE), key=lambda spec: spec.name
        )
        tables = tuple(spec.name for spec in specs if spec.kind == TENSOR_KIND_TABLE)
        axes = ((spec, item_axes.of(spec)) for spec in specs)
        by_item = {spec.name: ItemAxis(axis, tuple(item_axes.spans(spec))) for spec, axis in axes if axis is not None}
        return cls(task.items, {spec.name: tuple(spec.shape) for spec in specs}, tables, by_item)

    @property
    def carried(self) -> slice:
        """A flag for each tensor: 1 if the device carries it."""
        return slice(len(CANARY), len(CANARY) + len(self.shapes))

    @property
    def clipped(self) -> slice:
        """A flag for each tensor: 1 if the device scaled it down."""
        return slice(self.carried.stop, self.carried.stop + len(self.shapes))

    @property
    def touched(self) -> slice:
        """A flag for each catalogue row: 1 if the device carries a number that is not 0 in it, in every table.

        A row that is 0 in one table does not count, although the device touched it in another. Otherwise a row of the
        first table could hold the numbers of one device alone while its count says that there are many.
        """
        return slice(self.clipped.stop, self.clipped.stop + self.items)

    @property
    def head(self) -> slice:
        """Everything before the tensors."""
        return slice(0, self.touched.stop)

    @cached_property
    def tensors(self) -> dict[str, slice]:
        """The elements of each tensor, in name order."""
        places, start = {}, self.touched.stop
        for name, shape in self.shapes.items():
            places[name] = slice(start, start + math.prod(shape))
            start = places[name].stop
        return places

    @property
    def size(self) -> int:
        """Words of a vector."""
        return int(self.touched.stop) + sum(map(math.prod, self.shapes.values()))
