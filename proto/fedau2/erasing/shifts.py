"""Shifts: what a device adds to its state by its own class, so that the classes' means come together.

A linear map cannot tell users of one class from others, so it has to shrink a direction for everybody, and whoever
whitens stretches it again. A shift is the same for all users of a class: it leaves no direction in which they differ
less than before. A full shift would exchange the classes of users who are not counted in a sum, since means over few
users are inexact. They are more inexact in some directions than in others. So the principal axes are parted into bands,
and each band has the strength at which the class gaps of one fold no longer predict those of another.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedau2 import principal
from fedau2.erasing import folds

Matrix = NDArray[np.float64]

BANDS = (2, 3, 5, 10, 20, 40, 80)
"""Axes of each band, from the largest variance down; the last band has all that are left."""

_RANK = 1e-9
"""Share of the largest variance below which an axis counts as empty."""


def fit(within: Matrix, gaps: Matrix, by_fold: Sequence[Matrix]) -> Matrix:
    """Returns the shifts of an attribute's classes, (classes, width).

    Args:
        within: covariance of states around their classes' means, (width, width).
        gaps: mean of each class less the mean of all, (classes, width); where several attributes are erased, less what
            the classes of the others explain of it.
        by_fold: the same of each fold.
    """
    variances, axes = principal.axes(within)
    variances, axes = variances[::-1], axes[:, ::-1]
    occupied = variances > _RANK * variances[0]
    roots, axes = np.sqrt(variances[occupied]), axes[:, occupied]
    whole, parts = gaps @ axes / roots, [part @ axes / roots for part in by_fold]
    strengths = np.empty(len(roots))
    for band in bands(len(roots)):
        alike = [whole[:, band]] * len(parts)
        strengths[band] = folds.strength([part[:, band] for part in parts], alike, np.ones(len(band)))
    return np.asarray(-(whole * strengths * roots) @ axes.T)


def bands(count: int) -> list[NDArray[np.intp]]:
    """Returns the places of each band's axes among so many that lie in descending order of variance."""
    return [band for band in np.split(np.arange(count), np.cumsum(BANDS)) if band.size]
