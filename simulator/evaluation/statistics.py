"""Statistics of repeated and paired measurements.

A comparison over users asks if a trained model ranks better than another one, for users like these. A comparison over
seeds asks if a method gives better models than another method. Only the second is about the method.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_BOOTSTRAP_KEY = 0xFEDA0F
"""Public key: all comparisons of equally many users draw the same resamples."""


@dataclass(frozen=True)
class Comparison:
    """Paired differences over users.

    Attributes:
        mean: the mean difference.
        low: lower end of the mean's 95% interval by the paired bootstrap.
        high: upper end of the interval.
        p: two-sided p-value of the Wilcoxon signed-rank test; 1 if there is no difference.
    """

    mean: float
    low: float
    high: float
    p: float


def mean_std(values: ArrayLike) -> tuple[float, float]:
    """Computes mean and sample standard deviation (n - 1) without NaNs; NaN if there are too few values."""
    known = _known(np.asarray(values, np.float64))
    mean = float(known.mean()) if len(known) else float("nan")
    return mean, float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def relative(values: ArrayLike, reference: ArrayLike) -> float:
    """Computes the mean difference relative to the reference's mean, over pairs without NaN; NaN if that mean is 0."""
    ours, theirs = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    known = ~np.isnan(ours - theirs)
    base = theirs[known].sum()
    return float((ours[known].sum() - base) / base) if base else float("nan")


def over_seeds(values: ArrayLike, reference: ArrayLike) -> float:
    """Computes the two-sided p-value of Student's paired t-test; pairs with a NaN are left out.

    Args:
        values: a value of the method for each seed.
        reference: the values of the other method, for the same seeds in the same order.

    Returns:
        The p-value; NaN with fewer than 2 pairs, or if all differences are equal, since their variance is 0.
    """
    differences = _known(np.asarray(values, np.float64) - np.asarray(reference, np.float64))
    if len(differences) < 2 or np.ptp(differences) == 0:
        return float("nan")
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return float(2 * stats.t.sf(abs(differences.mean() / error), len(differences) - 1))


def over_users(values: ArrayLike, reference: ArrayLike, resamples: int = 2000) -> Comparison:
    """Compares two models user by user.

    Args:
        values: a value of the model for each user, (users,).
        reference: the values of the other model, for the same users in the same order.
        resamples: number of resamples of the bootstrap.
    """
    differences = np.asarray(values, np.float64) - np.asarray(reference, np.float64)
    rng = Generator(Philox(key=[_BOOTSTRAP_KEY, len(differences)]))
    means = [float(rng.choice(differences, len(differences)).mean()) for _ in range(resamples)]
    low, high = np.percentile(means, (2.5, 97.5))
    # The signed ranks leave out users without a difference, such as those whose rank is beyond the cut in both models.
    p = float(stats.wilcoxon(differences, method="approx").pvalue) if differences.any() else 1.0
    return Comparison(float(differences.mean()), float(low), float(high), p)


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]
