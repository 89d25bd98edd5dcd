"""Measures of outputs that should separate classes: balanced accuracy and the area under the ROC curve."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Numbers = NDArray[np.floating]
Labels = NDArray[np.int64]


def bacc(guesses: Labels, truth: Labels, classes: int) -> Numbers:
    """Computes balanced accuracies: the mean over classes of the share of its users that are guessed right.

    Args:
        guesses: class numbers, (..., users).
        truth: class numbers, broadcast to the same; every class has a user.
        classes: number of classes.
    """
    right = guesses == truth
    shares = [(right & (truth == number)).sum(-1) / (truth == number).sum(-1) for number in range(classes)]
    return np.asarray(np.mean(shares, axis=0))


def auc(outputs: Numbers, truth: Labels, classes: int) -> Numbers:
    """Computes areas under the ROC curve; with more classes, the mean of those of each class against the others.

    Args:
        outputs: of the users, (..., users, columns): one column of class 1 for two classes, and else one of each.
        truth: class numbers, broadcast to (..., users); every class has a user.
        classes: number of classes.
    """
    ranks = rankdata(outputs, axis=-2)
    areas = []
    for column in range(outputs.shape[-1]):
        inside = truth == (1 if classes == 2 else column)
        many = inside.sum(-1)
        others = truth.shape[-1] - many
        above = (ranks[..., column] * inside).sum(-1) - many * (many + 1) / 2
        areas.append(above / (many * others))
    return np.asarray(np.mean(areas, axis=0))
