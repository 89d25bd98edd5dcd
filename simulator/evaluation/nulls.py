"""The null of an attack: what it reaches on permuted labels, and how seldom it reaches as much as the attack."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

Scores = NDArray[np.floating]


def folded(scores: Scores, classes: int) -> float:
    """Computes the mean over splits; for two classes, b is max(b, 1 - b), since predictable error reveals as much."""
    return float(_folded(scores.mean(), classes))


def chance(scores: Scores, splits: int, classes: int) -> Scores:
    """Computes the folded mean of each permutation, as it would spread if each had as many splits as the attack.

    A mean over fewer splits varies more, so that its 95th percentile would be too high. The variance over the splits of
    a permutation says by how much: together for all classifiers, since that of one alone is known too badly. The means
    of each are drawn together accordingly.

    Args:
        scores: balanced accuracies or the like, (permutations, splits of a permutation, classifiers).
        splits: of the attack.
        classes: number of classes.

    Returns:
        The folded means, (permutations, classifiers).
    """
    means = scores.mean(1)
    permutations, fewer, _ = scores.shape
    if 1 < fewer < splits and permutations > 1:
        within = float(scores.var(1, ddof=1).mean())
        seen = float(means.var(0, ddof=1).mean())
        between = max(0.0, seen - within / fewer)
        if seen > 0:
            drawn = min(1.0, np.sqrt((between + within / splits) / seen))
            means = means.mean(0) + (means - means.mean(0)) * drawn
    return _folded(means, classes)


def p_values(means: Scores, permuted: Scores, classes: int) -> Scores:
    """Computes the p-value of each classifier, whose unfolded means are taken for normal.

    Folding keeps the distance from 1/2. So for two classes the variance is that around 1/2, and the test has two sides.
    With more classes nothing is folded, and the attack is compared with the mean, on one side.

    Args:
        means: folded means of the attack, (classifiers,).
        permuted: those of each permutation, (permutations, classifiers).
        classes: number of classes.

    Returns:
        The p-values, (classifiers,); 1 where a single permutation does not show a variance.
    """
    permutations = len(permuted)
    if classes == 2:
        spread, freedom, sides = np.sqrt(((permuted - 0.5) ** 2).mean(0)), permutations, 2
        distance = means - 0.5
    elif permutations > 1:
        spread, freedom, sides = permuted.std(0, ddof=1) * np.sqrt(1 + 1 / permutations), permutations - 1, 1
        distance = means - permuted.mean(0)
    else:
        return np.ones(len(means))
    t = np.divide(distance, spread, out=np.where(distance > 0, np.inf, 0.0), where=spread > 0)
    return np.asarray(np.minimum(1.0, sides * stdtr(freedom, -t)))


def counted(value: float, permuted: Scores) -> float:
    """Computes the p-value of an attack by counting those of many permutations that reach it."""
    return float((1 + (permuted >= value).sum()) / (1 + len(permuted)))


def _folded(means: Scores, classes: int) -> Scores:
    return np.maximum(means, 1 - means) if classes == 2 else np.asarray(means)
