"""Robust aggregation: the median or the trimmed mean of each number, for contributions that the coordinator reads.

A minority of contributions that lie cannot move a number beyond the values of honest ones. Each contribution is kept
until the round is over, on the fixed-point grid, so that any order and any shards give the same bytes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation.aggregators import expect_room, largest_value, norm
from coordinator.errors import AggregationError
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import fixed
from fedau2.wire.contributions import Rows, Update

MEDIAN = 0.5
"""The trim of the median, which leaves out all values but the one or the two in the middle."""


class Robust:
    """The median or trimmed mean, as an `Aggregator`.

    A row of a table is combined over the clients that sent it, and counts by their share among the clients that sent
    the table. So a row that one client alone sent is as that client says, divided by the number of clients, as in a
    mean.

    Args:
        specs: the tensors that are aggregated, by name.
        trim: share of the values that is left out at either end, above 0 and below 0.5; or `MEDIAN`.
        clip_norm: norm to which a longer contribution is scaled down; 0: never.
    """

    def __init__(self, specs: Mapping[str, TensorSpec], trim: float, clip_norm: float = 0.0) -> None:
        self._shapes = {name: tuple(spec.shape) for name, spec in specs.items()}
        self._trim, self._clip_norm = trim, clip_norm
        self._sent: dict[str, list[_Part]] = {name: [] for name in specs}
        self._reached = dict.fromkeys(specs, 0.0)

    def add(self, contribution: Mapping[str, Update], *, largest: float | None = None) -> None:
        """Adds the contribution of one client: all of it, or nothing if it is refused."""
        reached = {name: self._reached[name] + self._largest(name, update) for name, update in contribution.items()}
        expect_room(reached)
        length = norm(contribution) if self._clip_norm else 0.0
        factor = self._clip_norm / length if length > self._clip_norm else 1.0
        self._reached |= reached
        for name, update in contribution.items():
            rows, values = (update.indices, update.values) if isinstance(update, Rows) else (None, update)
            self._sent[name].append(_Part(rows, fixed.to_fixed(values, factor)))

    def _largest(self, name: str, update: Update) -> float:
        shape = self._shapes[name]
        given, expected = (update.values.shape[1:], shape[1:]) if isinstance(update, Rows) else (update.shape, shape)
        if given != expected:
            raise AggregationError(f"{name}: values of shape {given} for a tensor of shape {shape}")
        return largest_value(name, update)

    def merge(self, other: "Robust") -> None:
        """Adds a shard."""
        reached = {name: self._reached[name] + other._reached[name] for name in self._reached}
        expect_room(reached)
        self._reached = reached
        for name, sent in other._sent.items():
            self._sent[name].extend(sent)

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Returns what stands for the mean: the median or trimmed mean of each tensor that a client sent."""
        return {name: self._combined(self._shapes[name], sent) for name, sent in self._sent.items() if sent}

    def _combined(self, shape: tuple[int, ...], sent: Sequence["_Part"]) -> NDArray[np.float64]:
        if all(part.rows is None for part in sent):
            return self._middle(np.stack([part.values for part in sent]))
        combined = np.zeros(shape)
        whole = np.arange(shape[0])
        rows = np.concatenate([whole if part.rows is None else part.rows for part in sent])
        values = np.concatenate([part.values for part in sent])
        order = np.argsort(rows, kind="stable")
        starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
        for positions in np.split(order, starts[1:]) if len(order) else ():
            share = len(positions) / len(sent)
            combined[rows[positions[0]]] = self._middle(values[positions]) * share
        return combined

    def _middle(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Combines values along the first axis, which has those of the clients."""
        count = len(values)
        cut = (count - 1) // 2 if self._trim == MEDIAN else int(self._trim * count)
        kept = np.sort(values, axis=0)[cut : count - cut]
        return fixed.mean(kept.sum(axis=0), len(kept))

    def variances(self) -> dict[str, float]:
        """Returns nothing, because no noise is known."""
        return {}

    def reset(self) -> None:
        """Starts again with nothing added."""
        for name, sent in self._sent.items():
            sent.clear()
            self._reached[name] = 0.0


class _Part(NamedTuple):
    """A client's part of a tensor, on the grid. The rows are those of the values; None: all."""

    rows: NDArray[np.int64] | None
    values: NDArray[np.int64]
