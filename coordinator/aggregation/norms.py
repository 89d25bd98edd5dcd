"""The L2 norms of a round's contributions, by which an operator sees a round that a device has poisoned."""

import math
from array import array
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.admin_pb2 import ContributionNorms, NormStatistics
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TensorSpec
from fedau2.wire.contributions import Rows, Update

LOWEST, HIGHEST = -16, 33
"""The first and the last bucket: the norms above 2^(k-1) and at most 2^k, and all that are smaller or larger."""


class Norms:
    """The norms of one round's contributions, over the shared tensors and, apart from these, over the adversaries'.

    Args:
        specs: the tensors that are aggregated, by name (`fedau2.wire.manifest.shared`).
    """

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        adversary = {name for name, spec in specs.items() if spec.scope == TENSOR_SCOPE_ADVERSARY}
        self._names = {"shared": specs.keys() - adversary, "adversary": adversary}
        self._values = {part: array("d") for part in self._names}

    def add(self, contribution: Mapping[str, Update]) -> dict[str, float]:
        """Adds a contribution; returns its norms by "shared" and "adversary", as far as it has such tensors."""
        norms = {}
        for part, names in self._names.items():
            if updates := [update for name, update in contribution.items() if name in names]:
                norms[part] = math.sqrt(sum(map(_square, updates)))
                self._values[part].append(norms[part])
        return norms

    def statistics(self) -> ContributionNorms:
        """Returns the statistics of all contributions so far."""
        known = {part: _statistics(values) for part, values in self._values.items() if values}
        return ContributionNorms(shared=known.get("shared"), adversary=known.get("adversary"))

    def reset(self) -> None:
        """Starts again with nothing added."""
        for values in self._values.values():
            del values[:]


def length(checkpoint: Mapping[str, NDArray[np.float32]], specs: Mapping[str, TensorSpec]) -> float:
    """Returns the L2 norm of a checkpoint, over the recommender's shared tensors.

    Args:
        checkpoint: the tensors by name.
        specs: the tensors that are aggregated, as for `Norms`.
    """
    shared = (checkpoint[name] for name, spec in specs.items() if spec.scope != TENSOR_SCOPE_ADVERSARY)
    return math.sqrt(sum(map(_square, shared)))


def bucket(norm: float) -> int:
    """Returns the exponent k of a norm's bucket."""
    return LOWEST if norm <= 2.0**LOWEST else min(HIGHEST, math.ceil(math.log2(norm)))


def _statistics(norms: Iterable[float]) -> NormStatistics:
    values = np.asarray(norms)
    statistics = NormStatistics(contributions=len(values), median=np.median(values), largest=values.max())
    for value in values.tolist():
        statistics.buckets[bucket(value)] += 1
    return statistics


def _square(update: Update) -> float:
    """Sums the squares, in float32: exact enough to be looked at, and a tenth of the work of `clip.norm`."""
    values = np.ravel(update.values if isinstance(update, Rows) else update)
    return float(np.dot(values, values))
