"""Chooses a list of recommendations from the scores of all items, where the best k alone would not do.

Pure functions of arrays: (items,) stands for the catalogue, and rows number it.
"""

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POOL = 1_000
"""Most items that a diverse list is chosen from."""

Similarity = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Gives the similarities of some rows to each other, from 0 to 1, float32 (n, n)."""


@dataclass(frozen=True)
class Choice:
    """An app's wishes for a list, as `FedClient.recommend` describes them."""

    where: Callable[[str], bool] | None = None
    candidates: Container[str] | None = None
    seen: bool = False
    boost: Callable[[str], float] | None = None
    diversity: float = 0.0
    tags: Mapping[str, Collection[str]] | None = None

    def hides(self, item: str) -> bool:
        """Says if the app leaves an item out."""
        if self.candidates is not None and item not in self.candidates:
            return True
        return self.where is not None and not self.where(item)


def best(scores: NDArray[np.float64], allowed: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """Returns the allowed rows with the best k scores, best first; ties in the order of the catalogue."""
    rows = np.flatnonzero(allowed)
    if k < len(rows):
        bound = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
        rows = rows[scores[rows] >= bound]
    return rows[np.argsort(-scores[rows], kind="stable")][:k]


def diverse(
    scores: NDArray[np.float64], allowed: NDArray[np.bool_], k: int, diversity: float, similarity: Similarity
) -> NDArray[np.int64]:
    """Returns k of the best 10 k rows (at most `POOL`), each chosen by maximal marginal relevance.

    The next row has the largest (1 - diversity) * score - diversity * its largest similarity to a row that is chosen
    already, with scores scaled to [0, 1] over the pool (Carbonell and Goldstein, SIGIR 1998). Beyond the pool rows
    follow by score.
    """
    ranked = best(scores, allowed, max(k, min(10 * k, POOL)))
    pool, rest = ranked[:POOL], ranked[POOL:]
    if not len(pool):
        return ranked
    likeness = similarity(pool)
    spread = np.ptp(scores[pool])
    relevance = (scores[pool] - scores[pool].min()) / spread if spread else np.ones(len(pool))
    nearest, chosen = np.zeros(len(pool)), list[int]()
    left = np.ones(len(pool), np.bool_)
    for _ in range(min(k, len(pool))):
        gain = (1 - diversity) * relevance - diversity * nearest
        gain[~left] = -np.inf
        chosen.append(place := int(gain.argmax()))
        left[place] = False
        nearest = np.maximum(nearest, likeness[place])
    return np.concatenate([pool[chosen], rest])[:k]


def of_tags(items: Sequence[str], tags: Mapping[str, Collection[str]]) -> Similarity:
    """Returns the share of tags that two items have in common: |A and B| / |A or B|, and 0 for items without tags."""

    def similarity(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        of_rows = [set(tags.get(items[row], ())) for row in rows.tolist()]
        known = {tag: place for place, tag in enumerate(dict.fromkeys(tag for each in of_rows for tag in each))}
        marks = np.zeros((len(rows), len(known)), np.float32)
        for place, of_row in enumerate(of_rows):
            marks[place, [known[tag] for tag in of_row]] = 1
        common, sizes = marks @ marks.T, marks.sum(1)
        union = sizes[:, None] + sizes - common
        shares: NDArray[np.float32] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
        return shares

    return similarity


def of_vectors(vectors: NDArray[np.float32]) -> Similarity:
    """Returns the cosine of two items' vectors of length 1, (items, width), or 0 where it is negative."""

    def similarity(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        cosines: NDArray[np.float32] = np.maximum(vectors[rows] @ vectors[rows].T, 0)
        return cosines

    return similarity
