"""Sums over users, by class: all that erasure is fitted from, so that secure aggregation could give them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.errors import ErasureError

Matrix = NDArray[np.float64]

Targets = NDArray[np.bool_]
"""Which classes users are of, those of all attributes side by side, (users, classes); no class leaves a user out."""

FOLDS = 5
"""Parts of the users that the probe behind `auto` compares."""

_REAL = 1e-9
"""Imaginary part under which a root counts as real."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over some users; those of all users are the sum of those of its parts.

    Attributes:
        users: how many there are.
        total: sum of x, (width,).
        counts: users by class, (classes,).
        sums: sum of x by class, (classes, width).
        second: sum of the outer products of x, (width, width).
    """

    users: int
    total: Matrix
    counts: Matrix
    sums: Matrix
    second: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating], targets: Targets) -> Self:
        """From users' features, (users, width), and their classes."""
        known = targets.any(1)
        x, chosen = features[known].astype(np.float64), targets[known].astype(np.float64)
        return cls(len(x), x.sum(0), chosen.sum(0), chosen.T @ x, x.T @ x)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.users + other.users,
            self.total + other.total,
            self.counts + other.counts,
            self.sums + other.sums,
            self.second + other.second,
        )

    @property
    def mean(self) -> Matrix:
        """Mean of x, (width,)."""
        return np.asarray(self.total / self.users)

    @property
    def covariance(self) -> Matrix:
        """Covariance of x, (width, width)."""
        return np.asarray(self.second / self.users - np.outer(self.mean, self.mean))

    @property
    def gaps(self) -> Matrix:
        """Mean of x of each class, less the mean of all, (classes, width)."""
        return np.asarray(self.sums / self.counts[:, None] - self.mean)


def folds(features: NDArray[np.floating], targets: Targets, seed: int) -> list[Moments]:
    """Moments of `FOLDS` parts of the users, divided at random."""
    fold = np.random.default_rng(seed).permutation(len(targets)) % FOLDS
    return [Moments.of(features[fold == k], targets[fold == k]) for k in range(FOLDS)]


def expect_every_class(parts: Sequence[Moments]) -> None:
    """Checks that class gaps can be told in every part.

    Raises:
        ErasureError: a class has no user in one.
    """
    if any((part.counts == 0).any() for part in parts):
        raise ErasureError("erasure needs users of every class in every fold")


def joint(attributes: Iterable[Attribute]) -> Targets:
    """What is erased together: all attributes, from users of whom all are known."""
    each = list(attributes)
    known = np.all([attribute.labels >= 0 for attribute in each], axis=0)
    chosen = [attribute.labels[:, None] == np.arange(len(attribute.classes)) for attribute in each]
    return np.asarray(np.concatenate(chosen, axis=1) & known[:, None])


def expect_enough(users: int, width: int) -> None:
    """Checks that an attribute known of so many users can be erased from a state of this width.

    Raises:
        ErasureError: with no more users than dimensions it would be written instead.
    """
    if users <= width:
        raise ErasureError(
            f"erasing from {width} dimensions needs more users than that whose attribute is known, and there are "
            f"{users}: it would write the attribute instead. Run without erasure"
        )


def strength(kept: Sequence[Matrix], taken: Sequence[Matrix], deviations: Matrix) -> float:
    """The first strength at which the inner products between folds' standardised class gaps add up to zero.

    More would show the classes of users that a map was not fitted on exchanged, which leaks as much.

    Args:
        kept: class gaps of each fold, (classes, width).
        taken: what a map of strength 1 takes away of them.
        deviations: standard deviation of each feature, (width,).
    """
    scale = np.where(deviations > 0, deviations, np.inf)
    kept, taken = [each / scale for each in kept], [each / scale for each in taken]
    # Gaps are kept - strength * taken, so the sum over pairs of folds is a quadratic in the strength.
    products = (_products(taken, taken), -2 * _products(kept, taken), _products(kept, kept))
    if products[-1] <= 0:
        return 0.0  # nothing to read
    zeros = [root.real for root in np.roots(products) if abs(root.imag) < _REAL and 0 < root.real <= 1]
    return float(min(zeros, default=1.0))


def _products(left: Sequence[Matrix], right: Sequence[Matrix]) -> float:
    """Mean of the inner products of different folds' matrices, both ways."""
    whole = np.sum(left, axis=0) * np.sum(right, axis=0)
    same = [a * b for a, b in zip(left, right, strict=True)]
    return float(whole.sum() - np.sum(same)) / 2
