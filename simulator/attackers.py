"""Attribute inference from private state: attackers, their protocol, and the null beside them (design section 10)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from simulator.errors import NotFiniteError, TooFewUsersError

SHUFFLES = 20
"""Permutations of the labels for the null, each with as many splits as the attack itself."""

MINIMUM = 10
"""Fewest users of each class."""


@dataclass(frozen=True)
class Attacker:
    """An attack on an attribute.

    Attributes:
        make: a fresh scikit-learn classifier from a seed.
        train: share of the users that it learns from.
    """

    make: Callable[[int], Any]
    train: float


def _paper(seed: int) -> MLPClassifier:
    return MLPClassifier((100,), alpha=1.0, max_iter=500, learning_rate_init=0.1, random_state=seed)


def _strong(_: int) -> GridSearchCV:
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    grid = {"logisticregression__C": [0.003, 0.03, 0.3]}
    return GridSearchCV(regression, grid, scoring="balanced_accuracy", cv=3)


ATTACKERS = {"paper": Attacker(_paper, train=0.2), "strong": Attacker(_strong, train=0.8)}
"""paper: the paper's MLP on raw features; strong: standardised logistic regression, C by inner cross-validation."""


@dataclass(frozen=True)
class Attack:
    """What an attacker reaches.

    Attributes:
        bacc: balanced accuracy, the mean over splits; for two classes folded, max(b, 1 - b): predictable error leaks.
        std: standard deviation over splits.
        null_mean: mean of the same on permuted labels.
        null_p95: 95th percentile of the same on permuted labels.
    """

    bacc: float
    std: float
    null_mean: float
    null_p95: float


def attack(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    attacker: str,
    *,
    seed: int = 0,
    classes: int = 2,
    splits: int = 40,
) -> Attack:
    """Runs an attacker and its null on class-balanced users.

    Args:
        features: what is attacked, (users, width).
        labels: class numbers, (users,); -1 leaves a user out.
        attacker: a key of `ATTACKERS`.
        seed: of balancing, splits and the attacker.
        classes: number of classes.
        splits: random splits, of the attack and of each shuffle of the null.

    Raises:
        TooFewUsersError: a class has fewer than `MINIMUM` users.
        NotFiniteError: a feature is NaN or infinite.
    """
    known = labels >= 0
    inputs, labels = features[known].astype(np.float64), labels[known]
    expect_enough(labels, classes)
    _check_finite(inputs, np.flatnonzero(known))
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = _scores(inputs, labels, ATTACKERS[attacker], splits, rng)
        null = [
            _folded(_scores(inputs, rng.permutation(labels), ATTACKERS[attacker], splits, rng), classes)
            for _ in range(SHUFFLES)
        ]
    return Attack(
        bacc=_folded(scores, classes),
        std=float(scores.std()),
        null_mean=float(np.mean(null)),
        null_p95=float(np.percentile(null, 95)),
    )


def expect_enough(labels: NDArray[np.int64], classes: int) -> None:
    """Checks that attackers can be run at all.

    Raises:
        TooFewUsersError: a class has fewer than `MINIMUM` users.
    """
    counts = np.bincount(labels[labels >= 0], minlength=classes)
    if counts.min() < MINIMUM:
        raise TooFewUsersError(f"an attack needs {MINIMUM} users of each class; there are {counts.tolist()}")


def _check_finite(features: NDArray[np.float64], users: NDArray[np.int64]) -> None:
    diverged = users[~np.isfinite(features).all(axis=1)]
    if len(diverged):
        raise NotFiniteError(
            f"private state of {len(diverged)} users, first of row {diverged[0]}, is not finite: training diverged; "
            "lower the learning rates"
        )


def _scores(
    features: NDArray[np.float64], labels: NDArray[np.int64], attacker: Attacker, splits: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Balanced accuracy of each split; each draws its balanced users anew."""
    scores = []
    for _ in range(splits):
        users = _balanced(labels, rng)
        seed = int(rng.integers(2**31))
        train, test = train_test_split(users, train_size=attacker.train, stratify=labels[users], random_state=seed)
        model = attacker.make(seed).fit(features[train], labels[train])
        scores.append(balanced_accuracy_score(labels[test], model.predict(features[test])))
    return np.array(scores)


def _balanced(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    size = np.bincount(labels).min()
    chosen = [rng.choice(np.flatnonzero(labels == c), size, replace=False) for c in range(labels.max() + 1)]
    return np.concatenate(chosen)


def _folded(scores: NDArray[np.float64], classes: int) -> float:
    mean = float(scores.mean())
    return max(mean, 1 - mean) if classes == 2 else mean
