"""Generates a data set whose users' tastes depend on a hidden attribute to a chosen degree."""

from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from simulator.datasets import folders
from simulator.datasets.attributes import Attribute
from simulator.datasets.dataset import Dataset
from simulator.errors import ConfigError

NAME = folders.GENERATED
_TASTES = 8
"""Dimensions of a user's taste."""
MOST_CELLS = 2**35
"""Largest product of users and items: each user scores each item, which takes 20 ns or more."""

_PRECISE = 10**8
"""Cells up to which scores are float64, as they have always been; more are float32, which is several times faster."""

_BLOCK = 2**22
"""Cells that are scored at a time, which takes up to 32 bytes of memory for each."""


def generate(
    users: int = 600,
    items: int = 400,
    *,
    interactions: int = 30,
    dependence: float = 0.5,
    minority: float = 0.3,
    seed: int = 0,
) -> Dataset:
    """Generates interactions of users who choose items by popularity and by taste, where taste shifts with gender.

    Args:
        users: number of users, at least 2; `users * items` is at most `MOST_CELLS`.
        items: number of items, more than three times `interactions`.
        interactions: mean number per user; a user has between half and one and a half times as many.
        dependence: strength of the dependence of tastes on gender, from 0 (independent) to 1.
        minority: share of the class F.
        seed: seed of all random draws.

    Raises:
        ConfigError: a number is too small, or the data set would be too large.
    """
    if users < 2 or interactions < 6 or items <= 3 * interactions:
        raise ConfigError(
            "a synthetic data set needs at least 2 users (--users), 6 interactions each, and "
            f"{3 * interactions + 1} items (--items) where users have {interactions} interactions on average"
        )
    if users * items > MOST_CELLS or items > _BLOCK:
        raise ConfigError(
            f"a synthetic data set of {users:,} users and {items:,} items is too large: there may be {_BLOCK:,} items, "
            f"and {MOST_CELLS:,} users times items; lower --users or --items"
        )
    rng = Generator(Philox(key=[seed, 0xFEDA02]))
    labels = (rng.random(users) < minority).astype(np.int64)
    shift = rng.standard_normal(_TASTES) / np.sqrt(_TASTES) * 2 * dependence
    tastes = rng.standard_normal((users, _TASTES)) + np.where(labels[:, None] == 1, shift, -shift)
    features = rng.standard_normal((items, _TASTES))
    popularity = -np.log(1 + np.arange(items))[rng.permutation(items)]
    precision = np.float64 if users * items <= _PRECISE else np.float32
    kinds, drawn = features.astype(precision), popularity.astype(precision)
    ranked = np.empty((users, interactions * 3 // 2), np.int32)
    for block in np.array_split(np.arange(users), -(-users * items // _BLOCK)):
        tasted = tastes[block].astype(precision) @ kinds.T / np.sqrt(precision(2)) + drawn
        ranked[block] = _first(tasted, ranked.shape[1], rng)
    counts = rng.integers(interactions // 2, interactions * 3 // 2 + 1, users)
    chosen = [rng.permutation(row[:count]) for row, count in zip(ranked, counts, strict=True)]
    return Dataset(
        name=NAME,
        users=[f"user-{number}" for number in range(users)],
        items=[f"item-{number}" for number in range(items)],
        user=np.repeat(np.arange(users), counts),
        item=np.concatenate(chosen).astype(np.int64),
        attributes={"gender": Attribute(("M", "F"), labels)},
    )


def _first(tastes: NDArray[np.floating[Any]], count: int, rng: Generator) -> NDArray[np.int64]:
    """Draws the items that users choose, first those that they choose first, (users, count).

    By Gumbel's trick, the items with the largest sums of score and noise are a sample without replacement, whose
    probabilities are the softmax of the scores.

    Args:
        tastes: the scores, float32 or float64 (users, items).
        count: items of a user.
        rng: of the noise.
    """
    if tastes.dtype == np.float64:
        scores = -(tastes + rng.gumbel(size=tastes.shape))
    else:
        with np.errstate(divide="ignore"):  # of a number that rounds to 0, whose item comes first
            scores = np.log(rng.standard_exponential(tastes.shape, np.float32)) - tastes
    nearest = np.argpartition(scores, count - 1, axis=1)[:, :count]
    order = np.take_along_axis(scores, nearest, axis=1).argsort(axis=1)
    return np.take_along_axis(nearest, order, axis=1)
