"""The null of an attack: what it reaches on permuted labels."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def folded(scores: Scores, classes: int) -> float:
    """Computes the mean over splits; for two classes, b is max(b, 1 - b), since predictable error reveals as much."""
    mean = float(scores.mean())
    return max(mean, 1 - mean) if classes == 2 else mean


def chance(scores: Scores, splits: int, classes: int) -> Scores:
    """Computes the folded mean of each permutation, as it would spread if each had as many splits as the attack.

    A mean over fewer splits varies more, so that its 95th percentile would be too high. The variance over the splits of
    a permutation says by how much. The means are drawn together accordingly.

    Args:
        scores: balanced accuracies, (permutations, splits of a permutation).
        splits: of the attack.
        classes: number of classes.

    Returns:
        The folded means, (permutations,).
    """
    means = scores.mean(1, keepdims=True)
    permutations, fewer = scores.shape
    if 1 < fewer < splits and permutations > 1:
        within = float(scores.var(1, ddof=1).mean())
        seen = float(means.var(ddof=1))
        between = max(0.0, seen - within / fewer)
        if seen > 0:
            means = means.mean() + (means - means.mean()) * min(1.0, np.sqrt((between + within / splits) / seen))
    return np.array([folded(mean, classes) for mean in means])
