"""Attribute inference from client state: the attackers, their protocol and the null (design section 10)."""

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

from fedau2 import programs
from simulator.errors import NotFiniteError, TooFewUsersError
from simulator.evaluation import classifiers

SHUFFLES = 20
"""Permutations of the labels for the null; each has as many splits as the attack."""

MINIMUM = 10
"""Least number of users of each class."""


@dataclass(frozen=True)
class Attacker:
    """An attack on an attribute.

    Attributes:
        make: makes a new scikit-learn classifier from a seed.
        train: share of the users in the training part.
    """

    make: Callable[[int], Any]
    train: float


ATTACKERS = {"paper": Attacker(classifiers.paper, train=0.2), "strong": Attacker(classifiers.strong, train=0.8)}
"""`paper` is the paper's MLP on raw features; `strong` is the best of several families, see `classifiers.strong`."""


@dataclass(frozen=True)
class AttackResult:
    """The result of an attack.

    Attributes:
        bacc: balanced accuracy b, the mean over splits. For two classes it is max(b, 1 - b), since an attacker who is
            reliably wrong knows the attribute too.
        std: standard deviation of the balanced accuracy over splits.
        macro_f1: F1, the mean over classes and then over splits.
        null_mean: mean of the balanced accuracy on permuted labels, by the same pipeline.
        null_p95: 95th percentile of the balanced accuracy on permuted labels.
        families: number of the attack's splits in which the attacker chose each family; empty if it does not choose.
    """

    bacc: float
    std: float
    macro_f1: float
    null_mean: float
    null_p95: float
    families: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Split:
    """The scores of a split."""

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
        features: the attacked state, (users, width).
        labels: class numbers, (users,); a user with -1 is left out.
        attacker: a key of `ATTACKERS`.
        seed: seed of balancing, splits and the attacker.
        classes: number of classes.
        splits: number of random splits of the attack, and of each permutation of the null.
        workers: number of processes; the result does not depend on it.

    Raises:
        TooFewUsersError: a class has fewer than `MINIMUM` users.
        NotFiniteError: a feature is NaN or infinite.
    """
    known = labels >= 0
    inputs, labels = features[known].astype(np.float64), labels[known]
    expect_enough(labels, [str(number) for number in range(classes)])
    expect_finite(inputs, np.flatnonzero(known))
    # All random numbers are drawn before the work is distributed, those of the null last.
    rng = np.random.default_rng(seed)
    labellings, seeds = [labels], [_seeds(rng, splits)]
    for _ in range(SHUFFLES):
        labellings.append(rng.permutation(labels))
        seeds.append(_seeds(rng, splits))
    jobs = [
        delayed(_split)(inputs, labelling, attacker, split_seed)
        for labelling, split_seeds in zip(labellings, seeds, strict=True)
        for split_seed in split_seeds
    ]
    with programs.deaf_children():
        started = Parallel(n_jobs=workers, return_as="generator")(jobs)
    scores = list(started)
    attacked, *null = (scores[start : start + splits] for start in range(0, len(scores), splits))
    chance = [_folded(np.array([split.bacc for split in permuted]), classes) for permuted in null]
    baccs = np.array([split.bacc for split in attacked])
    return AttackResult(
        bacc=_folded(baccs, classes),
        std=float(baccs.std()),
        macro_f1=float(np.mean([split.macro_f1 for split in attacked])),
        null_mean=float(np.mean(chance)),
        null_p95=float(np.percentile(chance, 95)),
        families=Counter(split.family for split in attacked if split.family is not None),
    )


def expect_enough(labels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Checks that there are enough users of each class for an attack.

    Args:
        labels: class numbers, (users,); a user with -1 is left out.
        classes: names of the classes.

    Raises:
        TooFewUsersError: a class has fewer than `MINIMUM` users.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if few := [f"{n} of {name!r}" for n, name in zip(counts, classes, strict=True) if n < MINIMUM]:
        counts_of_classes = ", ".join(few[:5]) + (f" and {len(few) - 5} more such classes" if len(few) > 5 else "")
        raise TooFewUsersError(f"an attack needs {MINIMUM} users of each class; there are {counts_of_classes}")


def expect_finite(features: NDArray[np.floating[Any]], users: NDArray[np.int64]) -> None:
    """Checks that the attacked state is finite.

    Args:
        features: the attacked state, (n, width).
        users: the users' rows in the population, (n,).

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
    """Trains and tests the attacker once, on newly drawn balanced users."""
    method, users = ATTACKERS[attacker], balanced(labels, np.random.default_rng(seed))
    train, test = train_test_split(users, train_size=method.train, stratify=labels[users], random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = method.make(seed).fit(features[train], labels[train])
        predicted = model.predict(features[test])
    return _Split(
        bacc=float(balanced_accuracy_score(labels[test], predicted)),
        macro_f1=float(f1_score(labels[test], predicted, average="macro")),
        family=classifiers.family(model),
    )


def balanced(labels: NDArray[np.int64], rng: np.random.Generator, most: int | None = None) -> NDArray[np.int64]:
    """Draws equally many users of each class: as many as the rarest class has, at most `most`, and at least one.

    Args:
        labels: class numbers, (users,); a user with -1 is left out.
        rng: generator of the draw.
        most: most users of each class; no limit by default.
    """
    size = int(np.bincount(labels[labels >= 0]).min())
    if most is not None:
        size = min(max(1, most), size)
    chosen = [rng.choice(np.flatnonzero(labels == c), size, replace=False) for c in range(labels.max() + 1)]
    return np.concatenate(chosen)


def _folded(scores: NDArray[np.float64], classes: int) -> float:
    mean = float(scores.mean())
    return max(mean, 1 - mean) if classes == 2 else mean
