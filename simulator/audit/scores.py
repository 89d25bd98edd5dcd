"""Scores of attacks: success, its interval, and what a guesser would have reached.

Success is a balanced accuracy: the mean over classes of the share of right guesses, or the mean over clients of such
accuracies. For a state it is the share of clients whose state was read. Success lies between 0 and 1, so its variance
is at most that of a share, and Wilson's interval for a share of as many clients holds for it too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from simulator.attacks.aims import Learns
from simulator.evaluation import attackers
from simulator.evaluation.attacked_states import narrow

SHUFFLES = 200
"""Permutations of the clients for the null of guesses."""

TOLERANCE = 0.01
"""Relative error with which a state counts as read."""


@dataclass(frozen=True)
class Score:
    """The score of an attack.

    Attributes:
        success: see above.
        low: lower end of its 95% interval.
        high: upper end.
        chance: success of a random guess.
        null_mean: mean success over permutations that give the guesses to other clients.
        null_p95: 95th percentile of the same.
        clients: number of attacked clients.
    """

    success: float
    low: float
    high: float
    chance: float
    null_mean: float
    null_p95: float
    clients: int


def score(learns: Learns, guess: NDArray[Any], truth: NDArray[Any], classes: int, seed: int) -> Score:
    """Scores guesses of any kind but `Learns.FEATURES`.

    Args:
        learns: the attack's aim.
        guess: the attack's guess, clients first.
        truth: the truth, of the same shape.
        classes: number of classes of a label.
        seed: seed of permutations, and of the items whose membership is guessed.
    """
    rng = np.random.default_rng(seed)
    if learns is Learns.STATE:
        return _permuted(guess, truth, _read, 0.0, SHUFFLES, rng)
    if learns in (Learns.LABEL, Learns.GATE):
        classes = 2 if learns is Learns.GATE else classes
        size = _effective(truth.astype(np.int64), classes)
        return _permuted(guess, truth, _balanced(classes), 1 / classes, SHUFFLES, rng, size)
    measure = _of_pairs(_pairs(truth, rng)) if learns is Learns.MEMBERSHIP else _items
    # A permutation of items costs a matrix, and averages over all clients, so that a few are as precise.
    return _permuted(guess, truth, measure, 0.5, SHUFFLES // 10, rng)


def learned(
    features: NDArray[np.float32],
    truth: NDArray[np.int64],
    attacker: str,
    classes: int,
    splits: int,
    seed: int,
    notify: Callable[[], None] = lambda: None,
) -> Score:
    """Scores an attribute attacker of `simulator.evaluation.attackers`, whose null is of permuted labels.

    `notify` is called after each of `attackers.trials(splits)` splits.

    With few splits only some of the users are tested, and not equally often, and testing a user again adds nothing. The
    interval is that of the number of users which, tested once each, give a mean of the same variance.
    """
    how: dict[str, Any] = {"seed": seed, "classes": classes, "splits": splits, "notify": notify}
    bacc = attackers.attack(narrow([features]), truth, attacker, **how).bacc
    users = classes * int(np.bincount(truth[truth >= 0]).min())
    share = 1 - attackers.ATTACKERS[attacker].train
    low, high = interval(bacc.value, users * splits * share / (1 + (splits - 1) * share))
    return Score(bacc.value, low, high, 1 / classes, bacc.null_mean, bacc.null_p95, users)


def interval(success: float, clients: float) -> tuple[float, float]:
    """Wilson's 95% interval of a share of a number of clients."""
    z = float(stats.norm.ppf(0.975))
    centre = (success + z**2 / (2 * clients)) / (1 + z**2 / clients)
    half = z / (1 + z**2 / clients) * np.sqrt(success * (1 - success) / clients + z**2 / (4 * clients**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _effective(truth: NDArray[np.int64], classes: int) -> float:
    """Clients of equally frequent classes that would give a balanced accuracy of the same precision."""
    counts = np.bincount(truth, minlength=classes)
    present = counts[counts > 0]
    return len(present) ** 2 / float((1 / present).sum())


_Measure = Callable[[NDArray[Any], NDArray[Any]], float]


def _permuted(
    guess: NDArray[Any],
    truth: NDArray[Any],
    measure: _Measure,
    chance: float,
    shuffles: int,
    rng: np.random.Generator,
    size: float | None = None,
) -> Score:
    success, clients = measure(guess, truth), len(guess)
    null = [measure(guess[rng.permutation(clients)], truth) for _ in range(shuffles)]
    low, high = interval(success, size or clients)
    return Score(success, low, high, chance, float(np.mean(null)), float(np.percentile(null, 95)), clients)


def _balanced(classes: int) -> _Measure:
    def measure(guess: NDArray[Any], truth: NDArray[Any]) -> float:
        present = [c for c in range(classes) if (truth == c).any()]
        return float(np.mean([(guess[truth == c] == c).mean() for c in present]))

    return measure


def _items(guess: NDArray[Any], truth: NDArray[Any]) -> float:
    """The mean over clients of the balanced accuracy over items."""
    yes, no = truth.sum(1), (~truth).sum(1)
    positive, negative = (guess & truth).sum(1) / yes.clip(min=1), (~guess & ~truth).sum(1) / no.clip(min=1)
    return float(((positive + negative) / 2).mean())


def _pairs(truth: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """For each client an item that is recorded, and one that is not but that another client recorded: (n, 2)."""
    items = np.zeros((len(truth), 2), np.int64)
    for client, row in enumerate(truth):
        items[client, 0] = rng.choice(np.flatnonzero(row))
        # Drawn from the same distribution as recorded items, so that popularity is not a hint.
        others = truth[rng.permutation(len(truth))[:20]] & ~row
        items[client, 1] = rng.choice(np.nonzero(others)[1]) if others.any() else rng.choice(np.flatnonzero(~row))
    return items


def _of_pairs(items: NDArray[np.int64]) -> _Measure:
    rows = np.arange(len(items))[:, None]

    def measure(guess: NDArray[Any], truth: NDArray[Any]) -> float:
        return _items(guess[rows, items], truth[rows, items])

    return measure


def _read(guess: NDArray[Any], truth: NDArray[Any]) -> float:
    norm = np.linalg.norm
    return float((norm(guess - truth, axis=1) <= TOLERANCE * norm(truth, axis=1)).mean())
