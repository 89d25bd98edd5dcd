"""The null of an attack: what it reaches on permuted labels."""

import numpy as np
from numpy.typing import NDArray

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


def _folded(means: Scores, classes: int) -> Scores:
    return np.maximum(means, 1 - means) if classes == 2 else np.asarray(means)
