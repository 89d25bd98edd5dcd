"""The likelihood of each class of a user, given the class maps of a transport that were fitted on the user too.

Whoever holds the maps asks, for each class: had this user's state been moved by the map of the class, where was it
before? The map of a wrong class has gaps there, which none of the users fell into that it was fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulator.unlearning import optimal_transport
from simulator.unlearning.moments import Matrix, Moments, Targets
from simulator.unlearning.optimal_transport import EDGES, Groups

_TURNS = 10
"""Turns in which both steps of a map are inverted by turns; the second step changes little after a few."""


@dataclass(frozen=True, eq=False)
class _Quantiles:
    """The maps of all classes along some numbers.

    Attributes:
        centre, scale: of all users, (width,).
        counts: of each class in each bin, (classes, width, bins).
        shifts: of each edge by each class, (classes, width, edges).
    """

    centre: Matrix
    scale: Matrix
    counts: Sequence[NDArray[np.int64]]
    shifts: Matrix

    @classmethod
    def of(cls, features: Matrix, groups: Groups) -> Self:
        known = features[np.concatenate(groups)]
        centre, scale = known.mean(0), known.std(0)
        scale[scale == 0] = 1
        counts = [optimal_transport.counts((features[group] - centre) / scale) for group in groups]
        return cls(centre, scale, counts, optimal_transport.shifts(counts))

    def moved(self, features: Matrix, number: int) -> Matrix:
        z = (features - self.centre) / self.scale
        shifts = [np.interp(z[:, k], EDGES, shift) for k, shift in enumerate(self.shifts[number])]
        return np.asarray(features + np.stack(shifts, axis=1) * self.scale)

    def before(self, features: Matrix, number: int, strength: float) -> Matrix:
        """Inverts the map of a class; `strength` is the share of the move that was made."""
        z = (features - self.centre) / self.scale
        inverted = [
            np.where(
                np.abs(z[:, k]) < EDGES[-1] + np.abs(shift).max(),
                np.interp(z[:, k], EDGES + strength * shift, EDGES),
                z[:, k],
            )
            for k, shift in enumerate(self.shifts[number])
        ]
        return np.asarray(np.stack(inverted, axis=1) * self.scale + self.centre)

    def likelihoods(self, features: Matrix, number: int) -> Matrix:
        """Sums the logarithms of the shares of a class's users who are in the users' bins, (users,)."""
        z = (features - self.centre) / self.scale
        bins = len(EDGES) - 1
        place = (np.searchsorted(EDGES, z, side="right") - 1).clip(0, bins - 1)
        counts = self.counts[number]
        shares = (counts + 0.1) / (counts.sum(1, keepdims=True) + 0.1 * bins)
        return np.asarray(np.log(shares[np.arange(place.shape[1]), place]).sum(1))


def likelihoods(
    before: NDArray[np.float32], after: NDArray[np.float32], targets: Targets, strength: float
) -> tuple[Matrix, Groups]:
    """Computes how likely each class is, given a user's moved state and the maps.

    Args:
        before: the state that the maps were fitted on, (users, width). Nothing but the maps is made of it.
        after: the moved state, (users, width).
        targets: see `moments.joint`.
        strength: share of the move that was made.

    Returns:
        Log-likelihoods, (users, classes or combinations of classes), and the users of each.
    """
    groups = optimal_transport.expect_enough(targets)
    x, y = before.astype(np.float64), after.astype(np.float64)
    white, coloured = optimal_transport.directions([Moments.of(x[group], targets[group]) for group in groups])
    mean = x[np.concatenate(groups)].mean(0)
    first = _Quantiles.of((x - mean) @ white, groups) if white.size else None
    halfway = x.copy()
    if first is not None:
        for number, group in enumerate(groups):
            along = (x[group] - mean) @ white
            halfway[group] += (first.moved(along, number) - along) @ coloured
    second = _Quantiles.of(halfway, groups)
    found = []
    for number in range(len(groups)):
        moved, known = np.zeros_like(y), np.zeros(len(y))
        for _ in range(_TURNS if first is not None else 1):
            between = second.before(y + (1 - strength) * moved, number, strength)
            if first is None:
                continue
            after_first = (between - mean) @ white
            before_first = first.before(after_first, number, 1.0)
            moved, known = (after_first - before_first) @ coloured, first.likelihoods(before_first, number)
        found.append(second.likelihoods(between, number) + known)
    return np.stack(found, axis=1), groups
