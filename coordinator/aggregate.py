"""Exact aggregation: integer sums that do not depend on order, workers, shards or restarts (design section 7)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import AggregationError
from coordinator.fold import Fold, pieces
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import fixed
from fedau2.wire.contributions import Rows

Sums = Mapping[str, NDArray[np.floating[Any]] | Rows]
"""Per tensor the sum over some clients: all of it (float32 or float64), or some rows."""


class Accumulator:
    """The sum of a round's contributions on the fixed-point grid, one int64 array per tensor.

    Args:
        specs: the tensors that are aggregated, by name (`fedau2.wire.manifest.shared`).
    """

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        self._totals = {name: np.zeros(tuple(spec.shape), np.int64) for name, spec in specs.items()}
        self._weights = dict.fromkeys(specs, 0)
        # Upper bound of any element's absolute value, kept so that an overflow is refused and never happens silently.
        self._reached = dict.fromkeys(specs, 0.0)
        self._fold = Fold()

    def add(self, sums: Sums, weights: Mapping[str, int] | int = 1, largest: float | None = None) -> None:
        """Adds what some clients sent. All or nothing.

        What `fedau2.wire.contributions.decode` returns is never refused, for up to `ClosingRule.maximum` contributions.

        Args:
            sums: per tensor the sum over the clients that carry it, of the tensor's shape.
            weights: how many clients that is, for all tensors or by name.
            largest: no absolute value is larger, if that has been checked already.

        Raises:
            AggregationError: a value is not finite, or sums could overflow.
        """
        reached = {name: self._reached_with(name, values, largest) for name, values in sums.items()}
        _expect_room(reached)
        self._reached |= reached
        for name in sums:
            self._weights[name] += weights if isinstance(weights, int) else weights[name]
        self._fold.add(piece for name, values in sums.items() for piece in pieces(self._totals[name], values))

    def _reached_with(self, name: str, values: NDArray[np.floating[Any]] | Rows, largest: float | None) -> float:
        shape = values.values.shape[1:] if isinstance(values, Rows) else values.shape
        total = self._totals[name]
        if shape != (total.shape[1:] if isinstance(values, Rows) else total.shape):
            raise AggregationError(f"{name}: values of shape {shape} for a tensor of shape {total.shape}")
        return self._reached[name] + (_largest(name, values) if largest is None else largest)

    def merge(self, other: "Accumulator") -> None:
        """Adds another accumulator of the same tensors.

        Raises:
            AggregationError: sums could overflow.
        """
        reached = {name: self._reached[name] + other._reached[name] for name in self._totals}
        _expect_room(reached)
        self._reached = reached
        for name, total in self._totals.items():
            total += other._totals[name]
            self._weights[name] += other._weights[name]

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Per tensor that anybody carried, its sum over the number of clients that carry it; untouched rows are 0."""
        return {
            name: fixed.mean(total, self._weights[name]) for name, total in self._totals.items() if self._weights[name]
        }

    def reset(self) -> None:
        """Forgets everything that was added."""
        for name, total in self._totals.items():
            total.fill(0)
            self._weights[name] = 0
            self._reached[name] = 0.0


def _largest(name: str, values: NDArray[np.floating[Any]] | Rows) -> float:
    array = values.values if isinstance(values, Rows) else values
    if not array.size:
        return 0.0
    largest = max(float(array.max()), -float(array.min()))
    if not np.isfinite(largest):  # NaN survives min and max
        raise AggregationError(f"{name}: a value is not finite")
    return largest


def _expect_room(reached: Mapping[str, float]) -> None:
    # int64 holds twice what `bound` promises, so rounding in this float sum cannot refuse a promised contribution.
    limit = 1.5 * fixed.bound(1)
    if name := next((name for name, largest in reached.items() if largest > limit), None):
        raise AggregationError(
            f"{name}: values add up to {reached[name]:g}, more than {limit:g}; the sum could overflow"
        )
