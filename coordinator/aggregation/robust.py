"""Robust aggregation: the median or the trimmed mean of each number, for contributions that the coordinator reads.

A minority of those who sent a number cannot move it beyond the values of the honest ones. For a dense tensor these are
all contributions. For a row of a table they are those that sent the row, and liars choose rows that few others send.
Each contribution is kept until the round is over, on the fixed-point grid, so that any order and any shards give the
same bytes. Numbers are combined in blocks, which need little memory besides.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation.aggregators import expect_room, largest_value
from coordinator.aggregation.clip import Clip
from coordinator.errors import AggregationError
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import fixed, plans
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Rows, Update

MEDIAN = 0.5
"""The trim of the median, which leaves out all values but the one or the two in the middle."""

BLOCK = 2**20
"""About as many values are combined at a time."""


class Robust:
    """The median or trimmed mean, as an `Aggregator`.

    A row of a table is combined over the clients that sent it, and counts by their share among the clients that sent
    the table. So a row that one client alone sent is as that client says, divided by the number of clients, as in a
    mean.

    Args:
        specs: the tensors that are aggregated, by name.
        trim: share of the values that is left out at either end, above 0 and below 0.5; or `MEDIAN`.
        clip: scales long contributions down; by default none.
    """

    def __init__(self, specs: Mapping[str, TensorSpec], trim: float, clip: Clip | None = None) -> None:
        self._shapes = {name: tuple(spec.shape) for name, spec in specs.items()}
        self._trim, self._clip = trim, clip or Clip(0.0)
        self._sent: dict[str, list[_Part]] = {name: [] for name in specs}
        self._reached = dict.fromkeys(specs, 0.0)

    def add(self, contribution: Mapping[str, Update], *, largest: float | None = None, factor: float = 1.0) -> None:
        """Adds the contribution of one client: all of it, or nothing if it is refused."""
        reached = {name: self._reached[name] + self._largest(name, update) for name, update in contribution.items()}
        expect_room(reached)
        length = self._clip.measured(contribution)
        factor *= self._clip.factor(length)
        self._reached |= reached
        for name, update in contribution.items():
            rows, values = (update.indices, update.values) if isinstance(update, Rows) else (None, update)
            self._sent[name].append(_Part(rows, fixed.to_fixed(values, factor)))
        self._clip.count([length])

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
        self._clip.merge(other._clip)

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Returns what stands for the mean: the median or trimmed mean of each tensor that a client sent."""
        return {name: self._combined(self._shapes[name], sent) for name, sent in self._sent.items() if sent}

    def _combined(self, shape: tuple[int, ...], sent: Sequence["_Part"]) -> NDArray[np.float64]:
        combined = np.zeros(shape)
        if all(part.rows is None for part in sent):
            flat = combined.reshape(-1)
            for block in _blocks(len(flat), len(sent)):
                flat[block] = self._middle(np.stack([part.values.reshape(-1)[block] for part in sent], axis=1))
            return combined
        width = math.prod(shape[1:])
        for block in _blocks_of_rows(shape[0], sent, BLOCK // max(1, width)):
            self._combine_rows(combined, block, sent)
        return combined

    def _combine_rows(self, combined: NDArray[np.float64], block: slice, sent: Sequence["_Part"]) -> None:
        """Combines some rows of a table, those with equally many senders at once."""
        rows, values = map(np.concatenate, zip(*(part.within(block) for part in sent), strict=True))
        order = np.argsort(rows, kind="stable")
        which, starts, senders = np.unique(rows[order], return_index=True, return_counts=True)
        for count in np.unique(senders):
            chosen = senders == count
            places = order[starts[chosen][:, None] + np.arange(count)]
            combined[which[chosen]] = self._middle(values[places]) * (count / len(sent))

    def _middle(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """Combines values along the second axis, which has those of the clients. Their order there is changed."""
        count = values.shape[1]
        cut = plans.trimmed_values(self._trim, count)
        values.partition((cut, count - cut - 1), axis=1)
        return fixed.mean(values[:, cut : count - cut].sum(axis=1), count - 2 * cut)

    def variances(self) -> dict[str, float]:
        """Returns nothing, because no noise is known."""
        return {}

    def remembered(self) -> Tensors:
        """Returns the medians of the norms, see `Clip`."""
        return self._clip.remembered()

    def reset(self) -> None:
        """Starts again with nothing added."""
        self._clip.reset()
        for name, sent in self._sent.items():
            sent.clear()
            self._reached[name] = 0.0


class _Part(NamedTuple):
    """A client's part of a tensor, on the grid. The rows are those of the values; None: all."""

    rows: NDArray[np.int64] | None
    values: NDArray[np.int64]

    def within(self, block: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the numbers and the values of those of its rows that lie in a block."""
        if self.rows is None:
            values = self.values[block]
            return np.arange(block.start, block.start + len(values)), values
        chosen = np.flatnonzero((block.start <= self.rows) & (self.rows < block.stop))
        return self.rows[chosen], self.values[chosen]


def _blocks(length: int, values: int) -> Iterator[slice]:
    """Divides positions along an axis into blocks, where each position has so many values."""
    size = max(1, BLOCK // values)
    for start in range(0, length, size):
        yield slice(start, start + size)


def _blocks_of_rows(length: int, sent: Sequence[_Part], most: int) -> Iterator[slice]:
    """Divides rows into blocks of one row, or of more as long as clients sent at most `most` of them in all."""
    counts = np.full(length, sum(part.rows is None for part in sent), np.int64)
    for part in sent:
        if part.rows is not None:
            counts[part.rows] += 1  # a client sends a row once
    upto, start = np.cumsum(counts), 0
    while start < length:
        before = upto[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(upto, before + most, "right")))
        yield slice(start, stop)
        start = stop
