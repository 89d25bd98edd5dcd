"""Measures the lists of items that a model recommends: how many items appear, how evenly, and how well known they are.

The definitions are those of Castells, Hurley and Vargas, "Novelty and Diversity in Recommender Systems", Recommender
Systems Handbook, 2022, sections 3 and 4.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NOBODY = -1
"""Stands in a list for a place that no item is left for."""


def best(scores: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Returns each user's best items, best first, (users, depth); of equal items those that come first.

    Args:
        scores: (users, items). An item with -inf or NaN is left out.
        depth: most items of a list, at most the number of items.

    Returns:
        Item rows, and `NOBODY` where too few items are left.
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    last = np.partition(known, -depth, axis=1)[:, -depth, None]
    above, equal = known > last, known == last
    chosen = above | (equal & (equal.cumsum(1) <= depth - above.sum(1, keepdims=True)))
    items = np.nonzero(chosen)[1].reshape(len(known), depth)
    values = np.take_along_axis(known, items, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    items, values = np.take_along_axis(items, order, 1), np.take_along_axis(values, order, 1)
    return np.where(np.isneginf(values), NOBODY, items)


def counts(lists: NDArray[np.int64], items: int) -> NDArray[np.int64]:
    """Counts the lists that each item is in, (items,)."""
    return np.bincount(lists[lists != NOBODY], minlength=items)


def coverage(counted: NDArray[np.int64]) -> float:
    """Computes the share of the items that are in any list, of their counts."""
    return float((counted > 0).mean())


def gini(counted: NDArray[np.int64]) -> float:
    """Computes the Gini index of counts: 0 if every item is in equally many lists, and 1 if only one is in any."""
    number, total = len(counted), counted.sum()
    if number < 2 or not total:
        return 0.0
    places = 2 * np.arange(1, number + 1) - number - 1
    return float((places * np.sort(counted)).sum() / total / (number - 1))


def surprise(histories: Sequence[NDArray[np.int64]], items: int) -> NDArray[np.float64]:
    """Computes the self-information of each item in bits, (items,): -log2 of the share of the users who have it.

    An item that nobody has counts as if one user had it.

    Args:
        histories: items of each user, each once.
        items: number of items.
    """
    users = np.bincount(np.concatenate(histories), minlength=items)
    return np.asarray(-np.log2(np.maximum(users, 1) / len(histories)))


def novelty(lists: NDArray[np.int64], bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the mean self-information of the items in each list, (users,); 0 for an empty list.

    Args:
        lists: (users, depth).
        bits: of the items, see `surprise`.
    """
    there = lists != NOBODY
    return np.asarray((bits[lists] * there).sum(1) / np.maximum(there.sum(1), 1))
