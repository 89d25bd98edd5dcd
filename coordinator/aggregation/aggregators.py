"""Exact aggregation: integer sums that do not depend on order, workers, shards or restarts (design section 7).

`Aggregator` states what every aggregator promises; tests/coordinator/aggregation/test_aggregators.py holds it.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation.clip import Clip
from coordinator.aggregation.fold import fastest, pieces
from coordinator.errors import AggregationError
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import fixed, manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Rows, Update

Sums = Mapping[str, NDArray[np.floating[Any]] | Rows]
"""Per tensor the sum over some clients: the whole tensor (float32 or float64), or some rows."""


class Aggregator(Protocol):
    """Turns a round's contributions into their mean. Any order and any shards give the same bytes."""

    def add(self, contribution: Mapping[str, Update], *, largest: float | None = None, factor: float = 1.0) -> None:
        """Adds the contribution of one client: all of it, or nothing if it is refused.

        Up to `ClosingRule.maximum` contributions that `fedau2.wire.contributions.Decoder` returned are never refused.

        Args:
            contribution: per tensor the whole tensor, or some rows.
            largest: a bound of the absolute values, if it has been checked already.
            factor: 0 to 1; every value is multiplied by it, after a clip. It is not one client less in the mean.

        Raises:
            AggregationError: a value is not finite, or sums could overflow.
        """

    def merge(self, other: Self) -> None:
        """Adds the sum of a shard, which is another aggregator of the same task.

        Raises:
            AggregationError: sums could overflow.
        """

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Returns, per tensor that a client sent, the mean over the clients that sent it; untouched rows are 0."""

    def variances(self) -> dict[str, float]:
        """Returns the variance of the noise on each number of the mean, by tensor, as far as there is a known one."""

    def remembered(self) -> Tensors:
        """Returns what the server's state keeps of the contributions for later rounds, by name."""

    def reset(self) -> None:
        """Starts again with nothing added."""


_NO_STATE: Tensors = {}


def of(task: TaskManifest, state: Tensors = _NO_STATE) -> Aggregator:
    """Makes the aggregator that a checked manifest asks for.

    Args:
        task: the manifest.
        state: the server's state before the round.
    """
    tensors, server = manifest.shared(task), task.plan.server
    if not server.clip_norm:
        return Mean(tensors)
    return ClippedMean(tensors, server.clip_norm, server.clip_medians, state)


class Mean:
    """The mean of the contributions, as an `Aggregator`. It keeps their sum on the fixed-point grid, in int64.

    Args:
        specs: the tensors that are aggregated, by name (`fedau2.wire.manifest.shared`).
    """

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        self._totals = {name: np.zeros(tuple(spec.shape), np.int64) for name, spec in specs.items()}
        self._weights = dict.fromkeys(specs, 0)
        # Upper bound of any element's absolute value, kept so that an overflow is refused and never happens silently.
        self._reached = dict.fromkeys(specs, 0.0)
        self._fold = fastest()

    def add(
        self,
        sums: Sums,
        weights: Mapping[str, int] | int = 1,
        *,
        largest: float | None = None,
        factor: float = 1.0,
    ) -> None:
        """Adds the contribution of one client, or the sum over some clients: all of it, or nothing if it is refused.

        Args:
            sums: per tensor the sum over the clients that sent it, of the tensor's shape.
            weights: number of those clients, for all tensors or by name.
            largest: a bound of the absolute values, if it has been checked already.
            factor: 0 to 1; every value is multiplied by it, in float64, before it is put on the grid.

        Raises:
            AggregationError: a value is not finite, or sums could overflow.
        """
        reached = {name: self._reached_with(name, values, largest, factor) for name, values in sums.items()}
        expect_room(reached)
        self._reached |= reached
        for name in sums:
            self._weights[name] += weights if isinstance(weights, int) else weights[name]
        parts = (piece for name, values in sums.items() for piece in pieces(self._totals[name], values))
        self._fold.add(parts, factor)

    def _reached_with(
        self, name: str, values: NDArray[np.floating[Any]] | Rows, largest: float | None, factor: float
    ) -> float:
        shape = values.values.shape[1:] if isinstance(values, Rows) else values.shape
        total = self._totals[name]
        if shape != (total.shape[1:] if isinstance(values, Rows) else total.shape):
            raise AggregationError(f"{name}: values of shape {shape} for a tensor of shape {total.shape}")
        return self._reached[name] + factor * (largest_value(name, values) if largest is None else largest)

    def merge(self, other: "Mean") -> None:
        """Adds a shard."""
        reached = {name: self._reached[name] + other._reached[name] for name in self._totals}
        expect_room(reached)
        self._reached = reached
        for name, total in self._totals.items():
            total += other._totals[name]
            self._weights[name] += other._weights[name]

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Returns the mean."""
        return {
            name: fixed.mean(total, self._weights[name]) for name, total in self._totals.items() if self._weights[name]
        }

    def variances(self) -> dict[str, float]:
        """Returns nothing, because no noise is known."""
        return {}

    def remembered(self) -> Tensors:
        """Returns nothing."""
        return {}

    def reset(self) -> None:
        """Starts again with nothing added."""
        for name, total in self._totals.items():
            total.fill(0)
            self._weights[name] = 0
            self._reached[name] = 0.0


class ClippedMean:
    """The mean of the contributions, each clipped to a norm, as an `Aggregator`.

    A contribution whose norm is larger is scaled down to it, so that no client pulls harder than that.

    Args:
        specs: the tensors that are aggregated, by name.
        clip_norm: largest norm, > 0.
        medians: the largest norm is also this many running medians, see `Clip`; 0: it is `clip_norm`.
        state: the server's state before the round.
    """

    def __init__(
        self, specs: Mapping[str, TensorSpec], clip_norm: float, medians: float = 0.0, state: Tensors = _NO_STATE
    ) -> None:
        self._mean, self._clip = Mean(specs), Clip(clip_norm, medians, state)

    def add(self, contribution: Mapping[str, Update], *, largest: float | None = None, factor: float = 1.0) -> None:
        """Clips and adds the contribution of one client: all of it, or nothing if it is refused."""
        length = self._clip.measured(contribution)
        self._mean.add(contribution, largest=largest, factor=self._clip.factor(length) * factor)
        self._clip.count([length])

    def merge(self, other: "ClippedMean") -> None:
        """Adds a shard."""
        self._mean.merge(other._mean)
        self._clip.merge(other._clip)

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Returns the mean."""
        return self._mean.mean()

    def variances(self) -> dict[str, float]:
        """Returns nothing, because no noise is known."""
        return self._mean.variances()

    def remembered(self) -> Tensors:
        """Returns the medians of the norms, see `Clip`."""
        return self._clip.remembered()

    def reset(self) -> None:
        """Starts again with nothing added."""
        self._mean.reset()
        self._clip.reset()


def largest_value(name: str, values: NDArray[np.floating[Any]] | Rows) -> float:
    """Returns the largest absolute value of a tensor.

    Raises:
        AggregationError: a value is not finite.
    """
    array = values.values if isinstance(values, Rows) else values
    if not array.size:
        return 0.0
    largest = max(float(array.max()), -float(array.min()))
    if not np.isfinite(largest):  # NaN survives min and max
        raise AggregationError(f"{name}: a value is not finite")
    return largest


def expect_room(reached: Mapping[str, float]) -> None:
    """Returns if sums of such absolute values, by tensor, cannot overflow.

    Raises:
        AggregationError: one could.
    """
    # int64 holds twice what `bound` promises, so rounding in this float sum cannot refuse a promised contribution.
    limit = 1.5 * fixed.bound(1)
    if name := next((name for name, largest in reached.items() if largest > limit), None):
        raise AggregationError(
            f"{name}: values add up to {reached[name]:g}, more than {limit:g}; the sum could overflow"
        )
