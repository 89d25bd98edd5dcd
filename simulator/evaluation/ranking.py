"""Ranks one held-out item per user among candidates and among all items; HR@k and NDCG@k (design section 10)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.evaluation.lists import best

Scores = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Maps user rows to the scores of all items, float32 (users, items)."""

_BLOCK = 256
"""Users scored at a time."""


def rank(positive: NDArray[np.float32], rivals: NDArray[np.float32]) -> NDArray[np.int64]:
    """Counts the rivals before the positive, (users,). A tie counts against the positive, and so does a score of NaN.

    Args:
        positive: score of each user's positive, (users,). If it is not finite, the positive ranks last.
        rivals: scores of the rivals, (users, rivals). A rival with -inf is left out.
    """
    behind = (rivals < positive[:, None]) | np.isneginf(rivals)
    ranks = rivals.shape[1] - behind.sum(1)
    return np.where(np.isfinite(positive), ranks, np.iinfo(np.int64).max)


def hit_rate(ranks: NDArray[np.int64], k: int) -> float:
    """Computes HR@k: the share of users whose positive is among the first k."""
    return float((ranks < k).mean())


def gains(ranks: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Computes each user's NDCG@k with one relevant item, (users,): 1 / log2(rank + 2), and 0 beyond the first k."""
    near = np.minimum(ranks, k)
    return np.where(ranks < k, 1 / np.log2(near + 2), 0.0)


def ndcg(ranks: NDArray[np.int64], k: int) -> float:
    """Computes NDCG@k with one relevant item: the mean of `gains` over users."""
    return float(gains(ranks, k).mean())


@dataclass(frozen=True, eq=False)
class Ranks:
    """The number of rivals before each user's held-out item, int64 (users,).

    Attributes:
        sampled: rivals are the candidates.
        full: rivals are all items that are not masked.
        lists: each user's best items that are not masked, see `lists.best`, (users, depth); None: not asked for.
    """

    sampled: NDArray[np.int64]
    full: NDArray[np.int64]
    lists: NDArray[np.int64] | None = None

    def metrics(self) -> dict[str, float]:
        """Computes `hr@10` and `ndcg@10` among the candidates, and `hr@10_full` and `ndcg@10_full` among all items."""
        return {
            "hr@10": hit_rate(self.sampled, 10),
            "ndcg@10": ndcg(self.sampled, 10),
            "hr@10_full": hit_rate(self.full, 10),
            "ndcg@10_full": ndcg(self.full, 10),
        }

    def frame(self) -> pd.DataFrame:
        """Makes a table with the columns `user` (row), `rank` and `rank_full`."""
        return pd.DataFrame({"user": np.arange(len(self.full)), "rank": self.sampled, "rank_full": self.full})


def rank_all(
    scores: Scores,
    positives: NDArray[np.int64],
    candidates: NDArray[np.int64],
    masked: Sequence[NDArray[np.int64]],
    depth: int = 0,
) -> Ranks:
    """Ranks every user's held-out item.

    Args:
        scores: called with blocks of users.
        positives: held-out item of each user, (users,).
        candidates: candidates of each user, (users, n).
        masked: for each user, the items that the full ranking leaves out.
        depth: most items of the lists; 0: no lists.
    """
    sampled, full, lists = [], [], []
    for start in range(0, len(positives), _BLOCK):
        users = np.arange(start, min(start + _BLOCK, len(positives)))
        rows, block = np.arange(len(users)), scores(users).copy()
        positive = block[rows, positives[users]]
        sampled.append(rank(positive, block[rows[:, None], candidates[users]]))
        for row, user in enumerate(users.tolist()):
            block[row, masked[user]] = -np.inf
        if depth:
            lists.append(best(block, min(depth, block.shape[1])))
        block[rows, positives[users]] = -np.inf
        full.append(rank(positive, block))
    return Ranks(np.concatenate(sampled), np.concatenate(full), np.concatenate(lists) if depth else None)
