"""Holds out each user's last item for test and the item before it for validation (design section 10)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from client_sdk.weights import Weights
from simulator.datasets import Dataset
from simulator.datasets.histories import Histories
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
        visited: each user's different items, among which there are no candidates.
        items: number of items.
        weights: weight of each user's training items by the plan, float32; None: the plan has no weights.
        others: each user's items that are recorded and not positives by the plan; None: the plan has no weights.
        numbers: of the users among all of the data set, from which candidates are drawn; None: these are all.
    """

    train: Sequence[NDArray[np.int64]]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    visited: Histories
    items: int
    weights: list[NDArray[np.float32]] | None = None
    others: list[NDArray[np.int64]] | None = None
    numbers: NDArray[np.int64] | None = None

    def of(self, users: NDArray[np.int64]) -> Self:
        """Returns the split of some users, whose rows are their places; they have the same candidates as among all."""
        rows = users.tolist()
        visited = [self.visited[row] for row in rows]
        return replace(
            self,
            train=[self.train[row] for row in rows],
            validation=self.validation[users],
            test=self.test[users],
            visited=Histories(np.concatenate(visited), np.array([*map(len, visited)])),
            weights=None if self.weights is None else [self.weights[row] for row in rows],
            others=None if self.others is None else [self.others[row] for row in rows],
            numbers=users if self.numbers is None else self.numbers[users],
        )

    def seen(self, user: int) -> NDArray[np.int64]:
        """Returns a user's items that a full ranking of validation items leaves out."""
        return self.train[user] if self.others is None else np.union1d(self.train[user], self.others[user])

    def candidates(self, users: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draws the candidates of some users, among which no item has an interaction of the user.

        Returns:
            Those of the validation items, int64 (n, 99), and of the test items, drawn independently.
        """
        numbers = users if self.numbers is None else self.numbers[users]
        pairs = zip(users.tolist(), numbers.tolist(), strict=True)
        drawn = [_candidates(self.visited[user], number, self.items) for user, number in pairs]
        return np.stack([pair[0] for pair in drawn]), np.stack([pair[1] for pair in drawn])


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
    held_out, items = least(kind) - 1, len(dataset.items)
    visited = _first_visits(dataset)
    if weights is None:
        _expect_enough(dataset, visited.counts(), held_out, visited)
        train, last, test = _divided(visited, held_out, items)
        return Split(train, last, test, visited, items)
    weighted = dataset.weighted(weights)
    histories = [np.array([*user.positives], np.int64) for user in weighted]
    _expect_enough(dataset, np.array([*map(len, histories)]), held_out, visited)
    sorted_rows = [np.sort(history[:-held_out]) for history in histories]
    return Split(
        train=sorted_rows,
        validation=np.array([-1 if held_out == 1 else history[-2] for history in histories]),
        test=np.array([history[-1] for history in histories]),
        visited=visited,
        items=items,
        weights=[user.of(rows) for user, rows in zip(weighted, sorted_rows, strict=True)],
        others=[user.others for user in weighted],
    )


def _first_visits(dataset: Dataset) -> Histories:
    """Removes repeats of an item from histories, so that no held-out item is trained on."""
    pairs = dataset.user * len(dataset.items) + dataset.item
    first = np.sort(np.unique(pairs, return_index=True)[1])
    return Histories(dataset.item[first], np.bincount(dataset.user[first], minlength=len(dataset.users)))


def _divided(visited: Histories, held_out: int, items: int) -> tuple[Histories, NDArray[np.int64], NDArray[np.int64]]:
    """Divides histories into sorted training items, validation items, or -1 in their place, and test items."""
    counts, ends = visited.counts(), visited.starts[1:]
    trained = np.ones(len(visited.rows), np.bool_)
    for place in range(1, held_out + 1):
        trained[ends - place] = False
    users = np.repeat(np.arange(len(counts)), counts)[trained]
    rows = np.sort(users * items + visited.rows[trained]) % items
    last_but_one = np.full(len(counts), -1) if held_out == 1 else visited.rows[ends - 2]
    return Histories(rows, counts - held_out), last_but_one, visited.rows[ends - 1]


def _expect_enough(dataset: Dataset, lengths: NDArray[np.int64], held_out: int, visited: Histories) -> None:
    untouched = len(dataset.items) - visited.counts()
    for user in np.flatnonzero((lengths <= held_out) | (untouched < NEGATIVES))[:1].tolist():
        _check(dataset.users[user], int(lengths[user]), held_out, int(untouched[user]))


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
