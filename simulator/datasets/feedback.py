"""Weighs the interactions of a data set by a plan, as devices do with theirs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from client_sdk.interactions import DISLIKE, KINDS, RATING, VIEW, Kept, Kind
from client_sdk.weights import Weights
from simulator.datasets.table import Block

_REVOKES = -1.0
"""Stands for the weight of a dislike."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """A user's items by a plan's weights.

    Attributes:
        positives: weight of each positive by item row, in order of time.
        others: rows of the other items of the history, sorted.
    """

    positives: Mapping[int, float]
    others: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the weights of positives."""
        return np.array([self.positives[row] for row in rows.tolist()], np.float32)


def weigh(history: NDArray[np.int64], weights: NDArray[np.float32]) -> Weighted:
    """Weighs a user's items as a device does.

    Args:
        history: item rows in order of time, (n,).
        weights: of these interactions, from `of_interactions`, (n,).
    """
    best: dict[int, float] = {}
    for row, weight in zip(history.tolist(), weights.tolist(), strict=True):
        if weight == _REVOKES:
            best.pop(row, None)
        elif weight > 0:
            best[row] = max(best.get(row, 0.0), weight)
    return Weighted(best, np.setdiff1d(history, list(best)).astype(np.int64))


def of_interactions(
    count: int, ratings: NDArray[np.float32] | None, kinds: NDArray[np.int8] | None, weights: Weights
) -> NDArray[np.float32]:
    """Computes the weight of each interaction, (n,); that of a dislike is -1.

    Args:
        count: number of interactions n.
        ratings: of the interactions, (n,); None: there are no ratings.
        kinds: numbers in `KINDS`, (n,); None: all are ratings where there are ratings, and otherwise views.
        weights: those of the plan.
    """
    usual = VIEW if ratings is None else RATING
    numbers = np.full(count, KINDS.index(usual), np.int8) if kinds is None else kinds
    values = np.zeros(count, np.float32) if ratings is None else ratings
    different, places = np.unique(np.stack([numbers, values], 1), axis=0, return_inverse=True)
    of_different = [_weight(KINDS[int(kind)], value, weights) for kind, value in different.tolist()]
    return np.array(of_different, np.float32)[places.reshape(-1)]


def kinds(block: Block, column: str) -> NDArray[np.int8]:
    """Reads a column of kinds, as numbers in `KINDS`, (rows,).

    Raises:
        DatasetFormatError: a field is another text.
    """
    known = pc.index_in(block.columns[column], pa.array([kind.encode() for kind in KINDS]))
    block.refuse(np.asarray(pc.is_null(known)), column, f"is not one of {', '.join(KINDS)}")
    return np.asarray(known).astype(np.int8)


def ratings(block: Block, column: str, kinds: NDArray[np.int8] | None) -> NDArray[np.float64]:
    """Reads a column of ratings, (rows,). Where kinds are known, an interaction of another kind may have none: then 0.

    Raises:
        DatasetFormatError: a field is not a number.
    """
    if kinds is None:
        return block.decimals(column)
    numbers = np.zeros(len(kinds))
    given = (kinds == KINDS.index(RATING)) | block.matches(column, r"\S")
    numbers[given] = block.select(given).decimals(column)
    return numbers


def at_least(lowest: float, values: NDArray[np.float64], kinds: NDArray[np.int8] | None) -> NDArray[np.bool_]:
    """Marks the interactions that are not a rating below the lowest one, (rows,)."""
    return values >= lowest if kinds is None else (values >= lowest) | (kinds != KINDS.index(RATING))


def _weight(kind: Kind, value: float, weights: Weights) -> float:
    return _REVOKES if kind == DISLIKE else weights.of_interaction(Kept("", 0, kind, value=value))
