"""Statistics of repeated and paired measurements.

Two questions are kept apart. *Over users*: does this trained model rank better than that one, for users like these?
*Over seeds*: does this method give better models than that one? Only the second speaks of the method.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_BOOTSTRAP_KEY = 0xFEDA0F
"""Public: the same resamples in every comparison of as many users."""


@dataclass(frozen=True)
class Comparison:
    """Paired differences over users.

    Attributes:
        mean: of the differences.
        low: lower end of the mean's 95% interval by the paired bootstrap.
        high: upper end.
        p: two-sided, of the Wilcoxon signed-rank test; 1 where nothing differs.
    """

    mean: float
    low: float
    high: float
    p: float


def mean_std(values: ArrayLike) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1), of what is not NaN; NaN where there is too little."""
    known = _known(np.asarray(values, np.float64))
    mean = float(known.mean()) if len(known) else float("nan")
    return mean, float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def relative(values: ArrayLike, reference: ArrayLike) -> float:
    """Mean difference as a share of the reference's mean, of pairs without a NaN; NaN where that is nothing."""
    ours, theirs = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    known = ~np.isnan(ours - theirs)
    base = theirs[known].sum()
    return float((ours[known].sum() - base) / base) if base else float("nan")


def over_seeds(values: ArrayLike, reference: ArrayLike) -> float:
    """Two-sided p of Student's paired t-test; pairs with a NaN are left out.

    Args:
        values: of one method, one a seed.
        reference: of the other, in the same order of seeds.

    Returns:
        NaN with fewer than 2 pairs, or where all differences are the same: a variance of 0 tells nothing.
    """
    differences = _known(np.asarray(values, np.float64) - np.asarray(reference, np.float64))
    if len(differences) < 2 or np.ptp(differences) == 0:
        return float("nan")
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return float(2 * stats.t.sf(abs(differences.mean() / error), len(differences) - 1))


def over_users(values: ArrayLike, reference: ArrayLike, resamples: int = 2000) -> Comparison:
    """Compares two models user by user.

    Args:
        values: of one model, (users,).
        reference: of the other, of the same users in the same order.
        resamples: of the bootstrap.
    """
    differences = np.asarray(values, np.float64) - np.asarray(reference, np.float64)
    rng = Generator(Philox(key=[_BOOTSTRAP_KEY, len(differences)]))
    means = [float(rng.choice(differences, len(differences)).mean()) for _ in range(resamples)]
    low, high = np.percentile(means, (2.5, 97.5))
    # Users whose rank lies beyond the cut in both models tell nothing: they are left out of the signed ranks.
    p = float(stats.wilcoxon(differences, method="approx").pvalue) if differences.any() else 1.0
    return Comparison(float(differences.mean()), float(low), float(high), p)


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]
