"""Sums over users by class. Erasure is fitted from these alone, so that secure aggregation could provide them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.errors import ErasureError

Matrix = NDArray[np.float64]

Targets = NDArray[np.bool_]
"""Marks each user's classes, (users, classes), those of all attributes side by side; a user without one is left out."""

FOLDS = 5
"""Number of parts of the users that are compared to find a strength."""


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums over some users. Those of two groups together are the sum of theirs.

    Attributes:
        users: number of users.
        total: sum of x, (width,).
        counts: users by class, (classes,).
        sums: sum of x by class, (classes, width).
    """

    users: int
    total: Matrix
    counts: Matrix
    sums: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating], targets: Targets) -> Self:
        """Sums over the users that have a class.

        Args:
            features: features of all users, (users, width).
            targets: their classes.
        """
        x, chosen = _known(features, targets)
        return cls(len(x), x.sum(0), chosen.sum(0), chosen.T @ x)

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.users + other.users, self.total + other.total, self.counts + other.counts, self.sums + other.sums
        )

    @property
    def mean(self) -> Matrix:
        """Mean of x, (width,)."""
        return np.asarray(self.total / self.users)

    @property
    def gaps(self) -> Matrix:
        """Mean of x in each class minus the mean of all users, (classes, width)."""
        return np.asarray(self.sums / self.counts[:, None] - self.mean)


def _known(features: NDArray[np.floating], targets: Targets) -> tuple[Matrix, Matrix]:
    """Returns the features and classes of the users that have a class, in float64."""
    known = targets.any(1)
    return features[known].astype(np.float64), targets[known].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Moments(Totals):
    """Sums over some users, with those of products.

    Attributes:
        second: sum of the outer products of x, (width, width).
    """

    second: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating], targets: Targets) -> Self:
        """Sums over the users that have a class.

        Args:
            features: features of all users, (users, width).
            targets: their classes.
        """
        x, chosen = _known(features, targets)
        return cls(len(x), x.sum(0), chosen.sum(0), chosen.T @ x, x.T @ x)

    def __add__(self, other: "Moments") -> "Moments":  # type: ignore[override]
        whole = super().__add__(other)
        return Moments(whole.users, whole.total, whole.counts, whole.sums, self.second + other.second)

    @property
    def covariance(self) -> Matrix:
        """Covariance of x, (width, width)."""
        return np.asarray(self.second / self.users - np.outer(self.mean, self.mean))


def folds(features: NDArray[np.floating], targets: Targets, seed: int) -> list[Moments]:
    """Divides the users at random into `FOLDS` parts and computes the moments of each."""
    fold = np.random.default_rng(seed).permutation(len(targets)) % FOLDS
    return [Moments.of(features[fold == k], targets[fold == k]) for k in range(FOLDS)]


def expect_every_class(parts: Sequence[Moments]) -> None:
    """Checks that every part has users of every class.

    Raises:
        ErasureError: a part has no user of a class.
    """
    if any((part.counts == 0).any() for part in parts):
        raise ErasureError("erasure needs users of every class in every fold")


def joint(attributes: Iterable[Attribute]) -> Targets:
    """Marks the classes of all attributes together, for the users whose attributes are all known."""
    together = list(attributes)
    known = np.all([attribute.labels >= 0 for attribute in together], axis=0)
    chosen = [attribute.labels[:, None] == np.arange(len(attribute.classes)) for attribute in together]
    return np.asarray(np.concatenate(chosen, axis=1) & known[:, None])


def expect_enough(users: int, width: int) -> None:
    """Checks that there are more users with a known attribute than dimensions of the state.

    Raises:
        ErasureError: there are not, so that the map would write the attribute instead of erasing it.
    """
    if users <= width:
        raise ErasureError(
            f"erasure from {width} dimensions needs more than {width} users whose attribute is known, and there are "
            f"{users}: it would write the attribute instead of erasing it. Set erasure to none"
        )
