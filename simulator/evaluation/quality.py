"""All metrics of recommendation on the test items, for all users or for some."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from simulator.evaluation import lists
from simulator.evaluation.ranking import Ranks, gains

Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Quality:
    """Measures ranks and lists at several cut-offs.

    Attributes:
        ranks: of the test items, with lists that are as long as the largest cut-off, where there are so many items.
        cutoffs: ascending.
        bits: self-information of each item, see `lists.surprise`.
    """

    ranks: Ranks
    cutoffs: Sequence[int]
    bits: NDArray[np.float64]

    @classmethod
    def of(cls, ranks: Ranks, cutoffs: Sequence[int], train: Sequence[NDArray[np.int64]], items: int) -> Self:
        """Takes the popularity of items from the training items of each user."""
        return cls(ranks, cutoffs, lists.surprise(train, items))

    def metrics(self) -> dict[str, float]:
        """Computes each metric over all users; `_full` stands for a rank among all items."""
        return {name: float(values.mean()) for name, values in self.of_users.items()} | self.of_lists()

    @cached_property
    def of_users(self) -> Values:
        """Each user's `hr@K`, `ndcg@K`, `mrr` and `novelty@K`, (users,)."""
        ranked = (("", self.ranks.sampled), ("_full", self.ranks.full))
        values: Values = {}
        for k in self.cutoffs:
            for suffix, ranks in ranked:
                values |= {f"hr@{k}{suffix}": (ranks < k).astype(np.float64), f"ndcg@{k}{suffix}": gains(ranks, k)}
        values |= {f"mrr{suffix}": 1 / (ranks + 1.0) for suffix, ranks in ranked}
        return values | {f"novelty@{k}": lists.novelty(self._lists[:, :k], self.bits) for k in self.cutoffs}

    def of_lists(self, users: NDArray[np.int64] | None = None) -> dict[str, float]:
        """Computes `coverage@K` and `gini@K` of the lists of some users, by default of all."""
        chosen = self._lists if users is None else self._lists[users]
        metrics: dict[str, float] = {}
        for k in self.cutoffs:
            counted = lists.counts(chosen[:, :k], len(self.bits))
            metrics |= {f"coverage@{k}": lists.coverage(counted), f"gini@{k}": lists.gini(counted)}
        return metrics

    @cached_property
    def _lists(self) -> NDArray[np.int64]:
        assert self.ranks.lists is not None
        return self.ranks.lists.astype(np.int64)  # an interrupted run keeps them as floats
