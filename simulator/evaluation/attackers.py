"""Attribute inference from private state: attackers, their protocol, and the null beside them (design section 10)."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from simulator.errors import NotFiniteError, TooFewUsersError
from simulator.evaluation import classifiers

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


ATTACKERS = {"paper": Attacker(classifiers.paper, train=0.2), "strong": Attacker(classifiers.strong, train=0.8)}
"""paper: the paper's MLP on raw features; strong: the best of several families, see `classifiers.strong`."""


@dataclass(frozen=True)
class AttackResult:
    """What an attacker reaches.

    Attributes:
        bacc: balanced accuracy, the mean over splits; for two classes folded, max(b, 1 - b): predictable error leaks.
        std: standard deviation over splits.
        macro_f1: F1, the mean over classes and then over splits; not folded.
        null_mean: mean of the balanced accuracy on permuted labels, got by the same pipeline.
        null_p95: 95th percentile of the same.
        families: of an attacker that chooses, how often it chose each in the attack's splits.
    """

    bacc: float
    std: float
    macro_f1: float
    null_mean: float
    null_p95: float
    families: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Split:
    """Scores of one split."""

    bacc: float
    macro_f1: float
    family: str | None


def attack(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    attacker: str,
    *,
    seed: int = 0,
    classes: int = 2,
    splits: int = 40,
    workers: int = 1,
) -> AttackResult:
    """Runs an attacker and its null on class-balanced users.

    Args:
        features: what is attacked, (users, width).
        labels: class numbers, (users,); -1 leaves a user out.
        attacker: a key of `ATTACKERS`.
        seed: of balancing, splits and the attacker.
        classes: number of classes.
        splits: random splits, of the attack and of each shuffle of the null.
        workers: processes; the result does not depend on it.

    Raises:
        TooFewUsersError: a class has fewer than `MINIMUM` users.
        NotFiniteError: a feature is NaN or infinite.
    """
    known = labels >= 0
    inputs, labels = features[known].astype(np.float64), labels[known]
    expect_enough(labels, [str(number) for number in range(classes)])
    expect_finite(inputs, np.flatnonzero(known))
    # All that is random is drawn before the work is shared out, the null's part last.
    rng = np.random.default_rng(seed)
    labellings, seeds = [labels], [_seeds(rng, splits)]
    for _ in range(SHUFFLES):
        labellings.append(rng.permutation(labels))
        seeds.append(_seeds(rng, splits))
    jobs = [
        delayed(_split)(inputs, labelling, attacker, each)
        for labelling, row in zip(labellings, seeds, strict=True)
        for each in row
    ]
    scores = Parallel(n_jobs=workers)(jobs)
    found, *null = (scores[start : start + splits] for start in range(0, len(scores), splits))
    chance = [_folded(np.array([each.bacc for each in shuffle]), classes) for shuffle in null]
    baccs = np.array([each.bacc for each in found])
    return AttackResult(
        bacc=_folded(baccs, classes),
        std=float(baccs.std()),
        macro_f1=float(np.mean([each.macro_f1 for each in found])),
        null_mean=float(np.mean(chance)),
        null_p95=float(np.percentile(chance, 95)),
        families=Counter(each.family for each in found if each.family is not None),
    )


def expect_enough(labels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Checks that attackers can be run at all.

    Args:
        labels: class numbers, (users,); -1 leaves a user out.
        classes: their names.

    Raises:
        TooFewUsersError: a class has fewer than `MINIMUM` users.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if few := [f"{n} of {name!r}" for n, name in zip(counts, classes, strict=True) if n < MINIMUM]:
        each = ", ".join(few[:5]) + (f" and {len(few) - 5} more such classes" if len(few) > 5 else "")
        raise TooFewUsersError(f"an attack needs {MINIMUM} users of each class; there are {each}")


def expect_finite(features: NDArray[np.floating[Any]], users: NDArray[np.int64]) -> None:
    """Checks what is to be attacked.

    Args:
        features: (n, width).
        users: their rows in the population, (n,).

    Raises:
        NotFiniteError: a feature is NaN or infinite.
    """
    diverged = users[~np.isfinite(features).all(axis=1)]
    if len(diverged):
        raise NotFiniteError(
            f"private state of {len(diverged)} users, first of row {diverged[0]}, is not finite: training diverged; "
            "lower the learning rates"
        )


def _seeds(rng: np.random.Generator, splits: int) -> list[int]:
    drawn: list[int] = rng.integers(2**31, size=splits).tolist()
    return drawn


def _split(features: NDArray[np.float64], labels: NDArray[np.int64], attacker: str, seed: int) -> _Split:
    """One split, of balanced users drawn anew."""
    how, users = ATTACKERS[attacker], balanced(labels, np.random.default_rng(seed))
    train, test = train_test_split(users, train_size=how.train, stratify=labels[users], random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = how.make(seed).fit(features[train], labels[train])
        predicted = model.predict(features[test])
    return _Split(
        bacc=float(balanced_accuracy_score(labels[test], predicted)),
        macro_f1=float(f1_score(labels[test], predicted, average="macro")),
        family=classifiers.family(model),
    )


def balanced(labels: NDArray[np.int64], rng: np.random.Generator, most: int | None = None) -> NDArray[np.int64]:
    """Users, equally many of each class: as many as there are of the rarest, or `most`, but one at least.

    Args:
        labels: class numbers, (users,); -1 leaves a user out.
        rng: what they are drawn from.
        most: of each class; None: no limit.
    """
    size = int(np.bincount(labels[labels >= 0]).min())
    if most is not None:
        size = min(max(1, most), size)
    chosen = [rng.choice(np.flatnonzero(labels == c), size, replace=False) for c in range(labels.max() + 1)]
    return np.concatenate(chosen)


def _folded(scores: NDArray[np.float64], classes: int) -> float:
    mean = float(scores.mean())
    return max(mean, 1 - mean) if classes == 2 else mean
