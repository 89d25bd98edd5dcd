"""Holds out each user's last item for test and the item before it for validation (design section 10)."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from client_sdk.weights import Weights
from simulator.datasets import Dataset
from simulator.errors import DatasetError

NEGATIVES = 99
"""Candidates that the held-out item is ranked among."""

CHOSEN_ON = {"validation": "validation", "paper": "test"}
"""The items on which the best round is chosen, by the kind of split."""

_CANDIDATE_KEY = 0xFEDA0C
"""Public: the same candidates in every run on the same data set."""


@dataclass(frozen=True, eq=False)
class Split:
    """Held-out items and the candidates that they are ranked among.

    Attributes:
        train: each user's sorted unique item rows.
        validation: one item row per user, int64 (users,); -1 in the split `paper`, which has no validation items.
        test: one item row per user, int64 (users,).
        validation_candidates: items without an interaction of the user, int64 (users, 99).
        test_candidates: the same for test, drawn independently.
        weights: weight of each user's training items by the plan, float32; None: the plan has no weights.
        others: each user's items that are recorded and not positives by the plan; None: the plan has no weights.
    """

    train: list[NDArray[np.int64]]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    validation_candidates: NDArray[np.int64]
    test_candidates: NDArray[np.int64]
    weights: list[NDArray[np.float32]] | None = None
    others: list[NDArray[np.int64]] | None = None

    def seen(self) -> list[NDArray[np.int64]]:
        """Each user's items that a full ranking of validation items leaves out."""
        return self.train if self.others is None else [*map(np.union1d, self.train, self.others)]


def least(kind: str) -> int:
    """Returns the fewest positives that a user needs in a split."""
    return 2 if kind == "paper" else 3


def leave_one_out(dataset: Dataset, kind: str = "validation", weights: Weights | None = None) -> Split:
    """Splits each user's history by time; ties keep their order in the file.

    With weights, only positives are trained on and held out, and each held-out item counts once, whatever its weight.
    The other items are left out of the full ranking, and no candidates, as on a device that has recorded them.

    Args:
        dataset: at least 3 interactions with different items per user.
        kind: `validation`, or `paper`, which trains on the validation item as well.
        weights: those of the plan; None: every item is a positive of weight 1.

    Raises:
        DatasetError: a user has too few interactions, or too few other items to draw candidates from.
    """
    held_out = least(kind) - 1
    visited = [_first_visits(history) for history in dataset.histories()]
    weighted = None if weights is None else dataset.weighted(weights)
    histories = visited if weighted is None else [np.array([*user.positives], np.int64) for user in weighted]
    for user, history, rows in zip(dataset.users, histories, visited, strict=True):
        _check(user, len(history), held_out, len(dataset.items) - len(rows))
    candidates = [_candidates(history, row, len(dataset.items)) for row, history in enumerate(visited)]
    train = [np.sort(history[:-held_out]) for history in histories]
    last_but_one = [-1 if kind == "paper" else history[-2] for history in histories]
    return Split(
        train=train,
        validation=np.array(last_but_one),
        test=np.array([history[-1] for history in histories]),
        validation_candidates=np.stack([drawn[0] for drawn in candidates]),
        test_candidates=np.stack([drawn[1] for drawn in candidates]),
        weights=None if weighted is None else [user.of(rows) for user, rows in zip(weighted, train, strict=True)],
        others=None if weighted is None else [user.others for user in weighted],
    )


def _first_visits(history: NDArray[np.int64]) -> NDArray[np.int64]:
    """Removes repeats of an item from a history, so that no held-out item is trained on."""
    return history[np.sort(np.unique(history, return_index=True)[1])]


def _check(user: str, length: int, held_out: int, untouched: int) -> None:
    if length <= held_out:
        raise DatasetError(
            f"user {user!r} has {length} items; {held_out + 1} are needed: leave out such users, as --user-core "
            f"{held_out + 1} does"
        )
    if untouched < NEGATIVES:
        raise DatasetError(
            f"user {user!r} has interactions with all but {untouched} items; {NEGATIVES} candidates are needed: "
            "use a data set with more items (for the synthetic one, raise --items)"
        )


def _candidates(history: NDArray[np.int64], row: int, items: int) -> NDArray[np.int64]:
    rng = Generator(Philox(key=[_CANDIDATE_KEY, row]))
    untouched = np.setdiff1d(np.arange(items), history)
    return np.stack([rng.choice(untouched, NEGATIVES, replace=False) for _ in range(2)])
