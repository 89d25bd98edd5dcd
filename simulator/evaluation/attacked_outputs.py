"""The recommendations of a user as a bystander sees them: lists and scores, as features that are attacked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

from simulator.evaluation.ranking import Scores

AXES = 64
"""Most principal axes of the features that attackers see."""

SCORED = 512
"""The scores of as many items are attacked: those that most users have."""

_BLOCK = 256
"""Users scored at a time."""

_SHOWN = {f"top{top}{suffix}": (top, suffix == "") for top in (10, 50) for suffix in ("", "_seen")}
_POPULAR = {f"popular{top}": top for top in (10, 50)}

OUTPUTS = (*_SHOWN, "scores", *_POPULAR)
"""The outputs by name: lists with seen items left out, lists with them (`_seen`), scores, and the popular items with
seen ones left out, which no state takes part in."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of some users, (users, ...).

    Attributes:
        scores: of all items, by users as `Scores` takes them.
        users: the users, (users,).
        seen: returns the items that are left out of a user's lists.
        train: for every user of the population, the items by which popularity is counted.
        items: number of items.
    """

    scores: Scores
    users: NDArray[np.int64]
    seen: Callable[[int], NDArray[np.int64]]
    train: Sequence[NDArray[np.int64]]
    items: int

    def features(self, name: str) -> NDArray[np.float32]:
        """Returns the features of an output of `OUTPUTS`, (users, axes)."""
        if name == "scores":
            popular = np.argsort(-self._popularity(), kind="stable")[:SCORED]
            kept = [self.scores(block)[:, popular] for block in self._blocks()]
            scores = np.concatenate(kept)
            return _axes(scores - scores.mean(1, keepdims=True))
        if name in _POPULAR:
            ranked = np.broadcast_to(self._popularity(), (_BLOCK, self.items))
            lists = [self._lists(ranked[: len(block)], block, _POPULAR[name], unseen=True) for block in self._blocks()]
        else:
            top, unseen = _SHOWN[name]
            lists = [self._lists(self.scores(block), block, top, unseen=unseen) for block in self._blocks()]
        return _axes(_weighted(np.concatenate(lists), self.items))

    def _blocks(self) -> list[NDArray[np.int64]]:
        return np.array_split(self.users, range(_BLOCK, len(self.users), _BLOCK))

    def _popularity(self) -> NDArray[np.float32]:
        return np.bincount(np.concatenate(list(self.train)), minlength=self.items).astype(np.float32)

    def _lists(
        self, scores: NDArray[np.float32], users: NDArray[np.int64], top: int, *, unseen: bool
    ) -> NDArray[np.int64]:
        """Returns the best items of users, (users, top), -1 where too few are left."""
        ranked = scores.copy()
        for row, user in enumerate(users.tolist() if unseen else ()):
            ranked[row, self.seen(user)] = -np.inf
        best = np.argsort(-ranked, axis=1, kind="stable")[:, :top]
        return np.where(np.isneginf(np.take_along_axis(ranked, best, 1)), -1, best)


def _weighted(lists: NDArray[np.int64], items: int) -> csr_array:
    """Returns the weight of each item in each list, 1 / log2(place + 1), and 0 beyond it: (users, items)."""
    rows, places = np.nonzero(lists >= 0)
    return csr_array((1 / np.log2(places + 2), (rows, lists[rows, places])), shape=(len(lists), items))


def _axes(features: csr_array | NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the principal axes in their own scale, rotated at random, so that standardising them changes little."""
    axes = min(AXES, *features.shape)
    vectors, sizes, _ = randomized_svd(features, axes, random_state=0)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((axes, axes)))[0]
    return np.ascontiguousarray(vectors * sizes @ rotation, np.float32)
