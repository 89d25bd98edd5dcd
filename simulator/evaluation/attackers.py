"""Attribute inference from client state: the attackers, their protocol and the null (design section 10)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits

from fedau2 import programs
from fedau2.plugins import Registry
from simulator.evaluation import attacked_users, separation
from simulator.evaluation.attack_results import AttackResult, Scores
from simulator.evaluation.classifiers import networks, whitening
from simulator.evaluation.classifiers.batch import Batch, Guesses
from simulator.evaluation.classifiers.strong import FAMILIES, LINEAR, Strong

SHUFFLES = 20
"""Permutations of the labels for the null."""

NULL_SPLITS = 6
"""Most splits of a permutation. If the attack has more, the null is corrected for it, see `nulls.chance`."""

_NUMBERS = 2**19
"""About as many features are computed with at once."""


@dataclass(frozen=True)
class Attacker:
    """An attack on an attribute.

    Attributes:
        predict: learns from features and from the same whitened, and guesses.
        train: share of the users in the training part.
        families: names of the families that it has; empty if it has one way only.
    """

    predict: Callable[[Batch, Batch], Guesses]
    train: float
    families: tuple[str, ...] = ()


def _paper(features: Batch, whitened: Batch) -> Guesses:
    del whitened  # the paper's attacker takes the features as they are
    return Guesses(networks.PAPER.predict(features), np.zeros(len(features.seeds), np.int64))


ATTACKERS: Registry[Attacker] = Registry(
    "attackers",
    Attacker,
    {
        "paper": Attacker(_paper, train=0.2),
        "strong": Attacker(Strong(FAMILIES).predict, train=0.8, families=tuple(family.name for family in FAMILIES)),
    },
)
"""The attackers of private state: `paper` is the paper's network on raw features; `strong` has many families."""

LIGHT = "linear"
"""The attacker of what there is much of, such as lists: the families of `strong` that cost least."""

_LIGHT = Attacker(Strong(LINEAR).predict, train=0.8, families=tuple(family.name for family in LINEAR))


def attack(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    attacker: str,
    *,
    seed: int = 0,
    classes: int = 2,
    splits: int = 40,
    workers: int = 1,
    most: int | None = None,
    tested: NDArray[np.bool_] | None = None,
    notify: Callable[[], None] = lambda: None,
) -> AttackResult:
    """Runs an attacker and its null on class-balanced users.

    Args:
        features: the attacked state, (users, width).
        labels: class numbers, (users,); a user with -1 is left out.
        attacker: a key of `ATTACKERS`, or `LIGHT`.
        seed: seed of balancing, splits and the attacker.
        classes: number of classes.
        splits: number of random splits of the attack; each permutation of the null has at most `NULL_SPLITS` of them.
        workers: number of processes; the result does not depend on it.
        most: number of users that are attacked at most; None: `attacked_users.MOST_USERS`.
        tested: True for the users whose class is guessed, (users,), from all others and some of them; None: everybody.
        notify: called after each of `trials(splits)` splits.

    Raises:
        TooFewUsersError: a class has fewer than `attacked_users.MINIMUM` users who are tested.
        NotFiniteError: a feature is NaN or infinite.
    """
    names = [str(number) for number in range(classes)]
    attacked_users.expect_enough(labels if tested is None else np.where(tested, labels, -1), names)
    users = attacked_users.sample(labels, classes, seed, most)
    inputs, labels = features[users].astype(np.float64), labels[users]
    attacked_users.expect_finite(inputs, users)
    tested = None if tested is None else tested[users]
    # All random numbers are drawn before the work is distributed, those of the null last.
    rng = np.random.default_rng(seed)
    labellings, seeds = [labels], [_seeds(rng, splits)]
    for _ in range(SHUFFLES):
        labellings.append(attacked_users.permuted(labels, rng, tested))
        seeds.append(_seeds(rng, _of_null(splits)))
    divisions = [(labels, seed) for labels, drawn in zip(labellings, seeds, strict=True) for seed in drawn]
    method = _LIGHT if attacker == LIGHT else ATTACKERS[attacker]
    scores = _scored(inputs, divisions, method, classes, workers, tested, notify)
    return scores.result(method.families, len(users), splits, SHUFFLES, classes)


def trials(splits: int) -> int:
    """Counts the splits of an attack of so many, with those of its null."""
    return splits + SHUFFLES * _of_null(splits)


def _of_null(splits: int) -> int:
    return min(splits, NULL_SPLITS)


def _seeds(rng: np.random.Generator, splits: int) -> list[int]:
    drawn: list[int] = rng.integers(2**31, size=splits).tolist()
    return drawn


_Division = tuple[NDArray[np.int64], int]
"""A split to come: the labels of all users, and the seed of its users and of the attacker."""


def _scored(
    features: NDArray[np.float64],
    splits: Sequence[_Division],
    attacker: Attacker,
    classes: int,
    workers: int,
    tested: NDArray[np.bool_] | None,
    notify: Callable[[], None],
) -> Scores:
    """Computes the scores of all splits, in batches whose size does not depend on the number of workers."""
    users = classes * int(np.bincount(splits[0][0]).min())
    size = max(1, _NUMBERS // (users * features.shape[1]))
    batches = [splits[start : start + size] for start in range(0, len(splits), size)]
    with threadpool_limits(1):
        whitened = whitening.whitened(features)
    with programs.deaf_children():
        started = Parallel(n_jobs=workers, return_as="generator")(
            delayed(_scores)((features, whitened), batch, attacker, classes, tested) for batch in batches
        )
    done = []
    for part in started:
        done.append(part)
        for _ in part.chosen:
            notify()
    joined = {name: np.concatenate([getattr(part, name) for part in done]) for name in Scores.__dataclass_fields__}
    return Scores(**joined)


def _scores(
    views: tuple[NDArray[np.float64], NDArray[np.float64]],
    splits: Sequence[_Division],
    attacker: Attacker,
    classes: int,
    tested: NDArray[np.bool_] | None,
) -> Scores:
    """Trains and tests the attacker in several splits at once, on features and on the same whitened."""
    share = attacker.train
    parts = zip(*(attacked_users.divided(labels, seed, share, tested) for labels, seed in splits), strict=True)
    train, test = (np.stack(part) for part in parts)
    learned, truth = (
        np.stack([labels[rows] for (labels, _), rows in zip(splits, part, strict=True)]) for part in (train, test)
    )
    seeds = np.array([seed for _, seed in splits])
    with threadpool_limits(1):
        raw, white = (Batch(view[train], learned, view[test], seeds, classes) for view in views)
        guesses = attacker.predict(raw, white)
    guessed = raw.guesses(guesses.outputs)
    of_chosen = guessed[guesses.chosen, np.arange(len(seeds))]
    return Scores(
        bacc=separation.bacc(guessed, truth, classes).T,
        auc=separation.auc(guesses.outputs, truth, classes).T,
        macro_f1=np.array(
            [f1_score(right, said, average="macro") for right, said in zip(truth, of_chosen, strict=True)]
        ),
        chosen=guesses.chosen,
    )
