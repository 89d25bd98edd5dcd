"""Moments of users' states as sums of integers, which devices can add up in secure sums.

A device rounds its state to multiples of a public step. Its part of a sum is made of these integers and of its own
classes alone, and no number of it is larger than a secure sum has room for. Sums of integers are exact, so the bytes of
what is fitted from them depend neither on the order of the users nor on who adds them up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.unlearning.moments import Matrix, Moments, Targets

MINIMUM = 10
"""Least number of users of a class. A smaller class is held back: its users take no part in sums."""

_LARGEST = 2**31 - 1
"""Largest absolute value of a sum: secure sums are of at most 32 bits."""

_REACH = 8.0
"""Largest number of a state, in units, that is not cut."""

_LOGARITHMS = 2**16
"""Grid points per unit of the logarithm of a state's size."""

_FARTHEST = 30.0
"""Largest logarithm of a state's size; larger ones are cut."""


@dataclass(frozen=True)
class Grid:
    """The public grid to which all devices round their states.

    Attributes:
        step: distance of its points.
        most: largest number of points from 0.
    """

    step: float
    most: int

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Self:
        """Makes the grid of some users from a sum of the logarithms of their states' sizes.

        Its products of two points have room in a sum over these users.

        Args:
            features: (users, width); at least one user.
        """
        most = math.isqrt(room(len(features)))
        return cls(_REACH * usual_size(features) / most, most)

    def rounded(self, features: NDArray[np.floating]) -> Matrix:
        """Returns the integers of states, as floats that hold them exactly."""
        return np.rint(features.astype(np.float64) / self.step).clip(-self.most, self.most)


def room(users: int) -> int:
    """Returns the largest integer that each of so many users can add to a sum."""
    return _LARGEST // users


def usual_size(features: NDArray[np.floating]) -> float:
    """Returns the usual size of users' features, from a sum of the logarithms of their root mean squares."""
    sizes = np.sqrt((features.astype(np.float64) ** 2).mean(1))
    logarithms = np.log(np.maximum(sizes, math.exp(-_FARTHEST))).clip(-_FARTHEST, _FARTHEST)
    total = int(np.rint(logarithms * _LOGARITHMS).astype(np.int64).sum())
    return math.exp(total / _LOGARITHMS / len(features))


def folds(features: NDArray[np.floating], targets: Targets, grid: Grid, fold: NDArray[np.int64]) -> list[Moments]:
    """Adds up the moments of the users of each fold.

    Args:
        features: of all users, (users, width).
        targets: see `moments.joint`.
        grid: of the users who take part.
        fold: the public number of each user's fold, (users,).
    """
    parts = []
    for number in range(int(fold.max()) + 1):
        here = fold == number
        part, step = Moments.of(grid.rounded(features[here]), targets[here]), grid.step
        parts.append(Moments(part.users, part.total * step, part.counts, part.sums * step, part.second * step * step))
    return parts


def without_rare(attributes: Mapping[str, Attribute], fold: NDArray[np.int64]) -> list[Attribute]:
    """Returns attributes without the users of classes that are too small for a sum by class.

    A user whose class of one attribute is held back takes no part at all, so that no sum over several classes shows
    what a class of its own would. This is repeated, because another class may become too small by it. A class that
    nobody has any more is left out, and an attribute with fewer than two classes that are left, too.

    Args:
        attributes: by name, as far as they are known.
        fold: number of each user's fold, (users,). A class needs a user in each of them.
    """
    labels = np.stack([attribute.labels for attribute in attributes.values()])
    labels = np.where((labels >= 0).all(0), labels, -1)
    while True:
        rare = np.zeros(labels.shape[1], np.bool_)
        for row in labels:
            for number in np.unique(row[row >= 0]):
                users = row == number
                rare |= users & (users.sum() < MINIMUM or len(np.unique(fold[users])) <= fold.max())
        if not rare.any():
            return [left for row in labels if len((left := _present(row)).classes) > 1]
        labels[:, rare] = -1


def _present(labels: NDArray[np.int64]) -> Attribute:
    """Numbers the classes that somebody has."""
    classes = np.unique(labels[labels >= 0])
    numbers = np.full(int(labels.max(initial=-1)) + 2, -1, np.int64)
    numbers[classes] = np.arange(len(classes))
    return Attribute(tuple(map(str, classes.tolist())), np.where(labels >= 0, numbers[labels], -1))


def numbers(width: int, classes: Sequence[int], parts: int) -> int:
    """Returns how many integers a device adds to the sums of one fit: half of the products, and sums by class and fold.

    Args:
        width: of the state.
        classes: number of classes of each attribute.
        parts: number of folds.
    """
    return width * (width + 1) // 2 + parts * sum(classes) * (1 + width)
