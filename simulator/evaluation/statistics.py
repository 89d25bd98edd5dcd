"""Statistics of repeated and paired measurements.

A comparison over users asks if a trained model ranks better than another one, for users like these. A comparison over
seeds asks if a method gives better models than another method. Only the second is about the method.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import ArrayLike, NDArray

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
    return _two_sided(differences.mean() / error, len(differences) - 1)


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
    from scipy import stats  # here, because it takes a while to load

    # The signed ranks leave out users without a difference, such as those whose rank is beyond the cut in both models.
    p = float(stats.wilcoxon(differences, method="approx").pvalue) if differences.any() else 1.0
    return Comparison(float(differences.mean()), float(low), float(high), p)


def welch(values: ArrayLike, reference: ArrayLike) -> float:
    """Computes the two-sided p-value of Welch's t-test of the means of two groups.

    Args:
        values: of the users of a group, at least 2.
        reference: of those of another group, at least 2.

    Returns:
        The p-value; without any variance 1 if the means are equal, and else 0.
    """
    groups = [np.asarray(group, np.float64) for group in (values, reference)]
    difference = groups[0].mean() - groups[1].mean()
    errors = np.array([group.var(ddof=1) / len(group) for group in groups])
    if not errors.any():
        return float(difference == 0)
    freedom = errors.sum() ** 2 / sum(error**2 / (len(group) - 1) for error, group in zip(errors, groups, strict=True))
    return _two_sided(difference / np.sqrt(errors.sum()), freedom)


def _two_sided(t: float, freedom: float) -> float:
    """Computes the two-sided p-value of a value of Student's distribution."""
    from scipy.special import stdtr  # here, because it takes a while to load

    return float(2 * stdtr(freedom, -abs(t)))


def holm(p: Sequence[float]) -> list[float]:
    """Corrects p-values of several comparisons by Holm's method (Scandinavian Journal of Statistics 6, 1979).

    Where any of them is below 0.05 after it, the chance that one is so by accident is below 0.05.

    Returns:
        The corrected p-values, in the order of those that are given.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    larger = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(larger, 1)
    return [float(value) for value in corrected]


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]
