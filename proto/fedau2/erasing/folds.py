"""Compares parts of the users, to find how much of what a sum over all of them shows is true of other users too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

_REAL = 1e-9
"""Largest imaginary part of a root that counts as real."""


def strength(gaps: Sequence[Matrix], removed: Sequence[Matrix], deviations: Matrix) -> float:
    """Finds the lowest strength at which the inner products between folds' standardised class gaps add up to zero.

    A higher strength would exchange the classes of users that the map was not fitted on, which leaks as much.

    Args:
        gaps: class gaps of each fold, (classes, width).
        removed: the part of the gaps that a map of strength 1 removes.
        deviations: standard deviation of each feature, (width,).
    """
    scale = np.where(deviations > 0, deviations, np.inf)
    gaps, removed = [gap / scale for gap in gaps], [part / scale for part in removed]
    # The gaps become gaps - strength * removed, so the sum over pairs of folds is a quadratic in the strength.
    products = (_products(removed, removed), -2 * _products(gaps, removed), _products(gaps, gaps))
    if products[-1] <= 0:
        return 0.0  # the gaps do not leak
    zeros = [root.real for root in np.roots(products) if abs(root.imag) < _REAL and 0 < root.real <= 1]
    return float(min(zeros, default=1.0))


def agreement(gaps: Sequence[Matrix]) -> float:
    """Adds up the inner products between folds' class gaps: 0 or less where one fold's do not predict another's."""
    return _products(gaps, gaps)


def _products(left: Sequence[Matrix], right: Sequence[Matrix]) -> float:
    """Sums the inner products of the matrices of each pair of folds, as the mean of both orders."""
    whole = np.sum(left, axis=0) * np.sum(right, axis=0)
    same = [a * b for a, b in zip(left, right, strict=True)]
    return float(whole.sum() - np.sum(same)) / 2
