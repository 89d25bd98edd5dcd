"""Attribute inference from client state: the attackers, their protocol and the null (design section 10)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score
from threadpoolctl import threadpool_limits

from fedau2 import programs
from fedau2.plugins import Registry
from simulator.evaluation import attacked_users, nulls
from simulator.evaluation.classifiers import networks, strong
from simulator.evaluation.classifiers.batch import Batch, Guesses

SHUFFLES = 20
"""Permutations of the labels for the null."""

NULL_SPLITS = 10
"""Most splits of a permutation. If the attack has more, the null is corrected for it, see `nulls.chance`."""

_NUMBERS = 2**19
"""About as many features are computed with at once."""


@dataclass(frozen=True)
class Attacker:
    """An attack on an attribute.

    Attributes:
        predict: learns and guesses.
        train: share of the users in the training part.
    """

    predict: Callable[[Batch], Guesses]
    train: float


def _paper(batch: Batch) -> Guesses:
    guesses = networks.PAPER.predict(batch)
    return Guesses(guesses, (), guesses[None][:0])


ATTACKERS: Registry[Attacker] = Registry(
    "attackers", Attacker, {"paper": Attacker(_paper, train=0.2), "strong": Attacker(strong.predict, train=0.8)}
)
"""`paper` is the paper's network on raw features; `strong` is the best of several families (`classifiers.strong`)."""


@dataclass(frozen=True)
class Largest:
    """The classifier that reads most, of those that an attacker chooses from.

    Cross-validation never chooses a classifier that is reliably wrong, and this does: each is folded by itself.

    Attributes:
        name: of its family.
        bacc: its balanced accuracy, the folded mean over splits.
        null_mean: mean of the same on permuted labels, where the classifier that reads most is another each time.
        null_p95: 95th percentile of the same.
    """

    name: str
    bacc: float
    null_mean: float
    null_p95: float


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
        users: number of users whose state was attacked.
        families: number of the attack's splits in which the attacker chose each family; empty if it does not choose.
        largest: the classifier that reads most; None if the attacker does not choose.
    """

    bacc: float
    std: float
    macro_f1: float
    null_mean: float
    null_p95: float
    users: int
    families: Mapping[str, int] = field(default_factory=dict)
    largest: Largest | None = None


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
        splits: number of random splits of the attack; each permutation of the null has at most `NULL_SPLITS` of them.
        workers: number of processes; the result does not depend on it.

    Raises:
        TooFewUsersError: a class has fewer than `attacked_users.MINIMUM` users.
        NotFiniteError: a feature is NaN or infinite.
    """
    attacked_users.expect_enough(labels, [str(number) for number in range(classes)])
    users = attacked_users.sample(labels, classes, seed)
    inputs, labels = features[users].astype(np.float64), labels[users]
    attacked_users.expect_finite(inputs, users)
    # All random numbers are drawn before the work is distributed, those of the null last.
    rng = np.random.default_rng(seed)
    labellings, seeds = [labels], [_seeds(rng, splits)]
    for _ in range(SHUFFLES):
        labellings.append(rng.permutation(labels))
        seeds.append(_seeds(rng, min(splits, NULL_SPLITS)))
    divisions = [(labels, seed) for labels, drawn in zip(labellings, seeds, strict=True) for seed in drawn]
    scores = _scored(inputs, divisions, ATTACKERS[attacker], classes, workers)
    baccs = np.array([score.bacc for score in scores])
    attacked, permuted = baccs[:splits], baccs[splits:].reshape(SHUFFLES, -1)
    chance = nulls.chance(permuted, splits, classes)
    return AttackResult(
        bacc=nulls.folded(attacked, classes),
        std=float(attacked.std()),
        macro_f1=float(np.mean([score.macro_f1 for score in scores[:splits]])),
        null_mean=float(np.mean(chance)),
        null_p95=float(np.percentile(chance, 95)),
        users=len(users),
        families=Counter(score.family for score in scores[:splits] if score.family),
        largest=_largest(np.array([score.of_all for score in scores]), splits, classes),
    )


def _largest(baccs: NDArray[np.float64], splits: int, classes: int) -> Largest | None:
    """Finds the classifier that reads most by the scores of all, (splits, classifiers), first those of the attack."""
    if not baccs.shape[1]:
        return None
    attacked = [nulls.folded(column, classes) for column in baccs[:splits].T]
    chance = [nulls.chance(column[splits:].reshape(SHUFFLES, -1), splits, classes) for column in baccs.T]
    most = np.max(chance, axis=0)
    name = strong.NAMES[int(np.argmax(attacked))]
    return Largest(name, max(attacked), float(most.mean()), float(np.percentile(most, 95)))


def _seeds(rng: np.random.Generator, splits: int) -> list[int]:
    drawn: list[int] = rng.integers(2**31, size=splits).tolist()
    return drawn


@dataclass(frozen=True)
class _Score:
    """The scores of a split."""

    bacc: float
    macro_f1: float
    family: str
    of_all: tuple[float, ...]


_Division = tuple[NDArray[np.int64], int]
"""A split to come: the labels of all users, and the seed of its users and of the attacker."""


def _scored(
    features: NDArray[np.float64], splits: Sequence[_Division], attacker: Attacker, classes: int, workers: int
) -> list[_Score]:
    """Computes the scores of all splits, in batches whose size does not depend on the number of workers."""
    users = classes * int(np.bincount(splits[0][0]).min())
    size = max(1, _NUMBERS // (users * features.shape[1]))
    batches = [splits[start : start + size] for start in range(0, len(splits), size)]
    with programs.deaf_children():
        started = Parallel(n_jobs=workers, return_as="generator")(
            delayed(_scores)(features, batch, attacker, classes) for batch in batches
        )
    return [score for done in started for score in done]


def _scores(
    features: NDArray[np.float64], splits: Sequence[_Division], attacker: Attacker, classes: int
) -> list[_Score]:
    """Trains and tests the attacker in several splits at once."""
    train, test = zip(*(attacked_users.divided(labels, seed, attacker.train) for labels, seed in splits), strict=True)
    learned, truth = (
        np.stack([labels[rows] for (labels, _), rows in zip(splits, part, strict=True)]) for part in (train, test)
    )
    seeds = np.array([seed for _, seed in splits])
    with threadpool_limits(1):
        batch = Batch(features[np.stack(train)], learned, features[np.stack(test)], seeds, classes)
        guesses = attacker.predict(batch)
    return [
        _Score(
            bacc=float(balanced_accuracy_score(right, guesses.chosen[fit])),
            macro_f1=float(f1_score(right, guesses.chosen[fit], average="macro")),
            family=guesses.names[fit] if guesses.names else "",
            of_all=tuple(float(balanced_accuracy_score(right, guessed)) for guessed in guesses.of_all[:, fit]),
        )
        for fit, right in enumerate(truth)
    ]
