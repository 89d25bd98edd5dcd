"""Attackers who learn nothing from labels, since something public gives them their guesses."""

import numpy as np
from numpy.typing import NDArray

from simulator.evaluation import nulls, separation
from simulator.evaluation.attack_results import Figure

SHUFFLES = 200
"""Permutations of the users for the null."""


def measure(likelihoods: NDArray[np.floating], labels: NDArray[np.int64], seed: int) -> dict[str, Figure]:
    """Measures guesses by likelihoods; in the null each user gets those of another one.

    Args:
        likelihoods: of each class, (users, classes).
        labels: class numbers, (users,); a user with -1 is left out.
        seed: of the permutations.

    Returns:
        The figures by name: `bacc` and `auc`. They are not folded, since a guess that learns nothing is not exchanged.
    """
    known = labels >= 0
    values, truth, classes = likelihoods[known], labels[known], likelihoods.shape[1]
    rng = np.random.default_rng(seed)
    orders = np.stack([np.arange(len(truth)), *(rng.permutation(len(truth)) for _ in range(SHUFFLES))])
    outputs = values[orders]
    columns = outputs[..., 1:] - outputs[..., :1] if classes == 2 else outputs
    baccs = separation.bacc(outputs.argmax(-1), truth, classes)
    aucs = separation.auc(columns, truth, classes)
    return {
        name: Figure.of(scores[0], scores[1:], nulls.counted(scores[0], scores[1:]))
        for name, scores in (("bacc", baccs), ("auc", aucs))
    }
