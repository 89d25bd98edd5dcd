"""Rounds values to the fixed-point grid of the aggregation, whose sums do not depend on order (design section 7)."""

import numpy as np
from numpy.typing import NDArray

SCALE = 2.0**40
"""Grid points per unit: one float64 value x becomes the integer rint(x * 2**40)."""

_HEADROOM = 2.0**62


def bound(maximum: int) -> float:
    """Returns the largest |x| of one contribution such that `maximum` of them cannot overflow an int64 sum."""
    return _HEADROOM / SCALE / maximum


def to_fixed(values: NDArray[np.floating], factor: float = 1.0) -> NDArray[np.int64]:
    """Rounds `factor` times values of any shape to the grid; their absolute value must be at most `bound(1)`."""
    return np.rint(values.astype(np.float64) * (factor * SCALE)).astype(np.int64)


def mean(total: NDArray[np.int64], weight: int) -> NDArray[np.float64]:
    """Returns the average that a fixed-point sum over `weight` contributions represents."""
    return np.asarray(np.divide(total, SCALE * weight))
