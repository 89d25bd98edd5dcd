"""Cuts of a data set: the iterative k-core, as many users of every class, and few users of the rarest."""

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from simulator.datasets.dataset import Dataset
from simulator.errors import ConfigError, EmptyCoreError, OneClassError

_BALANCE_KEY, _MINORITY_KEY = 0xFEDA0D, 0xFEDA0E
"""Public: the same users in every run on the same data set."""

Mask = NDArray[np.bool_]


def k_core(
    user: NDArray[np.int64], item: NDArray[np.int64], shape: tuple[int, int], cores: tuple[int, int]
) -> tuple[Mask, Mask]:
    """The largest set of users and items in which each user has enough items and each item enough users.

    Args:
        user: user row of each interaction, (n,).
        item: item row of each interaction, (n,); repeats of a pair count once.
        shape: how many users and items there are.
        cores: different items per user, and different users per item, that are enough.

    Returns:
        Which users and which items are in it, bool (users,) and (items,).
    """
    pairs = np.unique(user.astype(np.int64) * shape[1] + item)
    rows = [pairs // shape[1], pairs % shape[1]]
    masks = [np.ones(size, np.bool_) for size in shape]
    while True:
        enough = [
            np.bincount(each, minlength=size) >= core for each, size, core in zip(rows, shape, cores, strict=True)
        ]
        if all((keep | ~mask).all() for keep, mask in zip(enough, masks, strict=True)):
            return masks[0], masks[1]
        masks = [mask & keep for mask, keep in zip(masks, enough, strict=True)]
        kept = masks[0][rows[0]] & masks[1][rows[1]]
        rows = [each[kept] for each in rows]


def cut(dataset: Dataset, user_core: int, item_core: int) -> Dataset:
    """The k-core of a data set; users and items keep their order.

    Args:
        dataset: what to cut.
        user_core: different items that each user has at least.
        item_core: different users that each item has at least.

    Raises:
        EmptyCoreError: nothing is left.
    """
    shape = (len(dataset.users), len(dataset.items))
    users, items = k_core(dataset.user, dataset.item, shape, (user_core, item_core))
    if not users.any() or not items.any():
        raise EmptyCoreError(
            f"{dataset.name} has no core with {user_core} items for each user and {item_core} users for each item: "
            "ask for smaller ones"
        )
    return dataset.select(users, items)


def balance(dataset: Dataset, attribute: str) -> Dataset:
    """Draws as many users of every class as the smallest has; items that nobody is left for go too.

    Raises:
        ConfigError: the data set has no such attribute.
        OneClassError: a class has no users.
    """
    members = _classes(dataset, attribute)
    size = min(map(len, members))
    rng = Generator(Philox(key=[_BALANCE_KEY, 0]))
    users = np.zeros(len(dataset.users), np.bool_)
    for each in members:
        users[rng.choice(each, size, replace=False)] = True
    return _only(dataset, users)


def thin(dataset: Dataset, attribute: str, share: float) -> Dataset:
    """Draws so many users of the rarest class that they are a share of all whose class is known, rounded down.

    Everybody else stays; items that nobody is left for go.

    Args:
        dataset: what to cut.
        attribute: whose rarest class is cut.
        share: above 0 and below the share that the class has.

    Raises:
        ConfigError: the data set has no such attribute, or the class is rarer already.
        OneClassError: a class has no users.
    """
    members = _classes(dataset, attribute)
    rarest = int(np.argmin([len(each) for each in members]))
    others = sum(map(len, members)) - len(members[rarest])
    size = int(others * share / (1 - share))
    if not 0 < size < len(members[rarest]):
        name = dataset.attributes[attribute].classes[rarest]
        raise ConfigError(
            f"{dataset.name}: {name}, the rarest class of {attribute}, has {len(members[rarest])} users, the others "
            f"{others}: it cannot be cut to a share of {share:g}"
        )
    users = np.ones(len(dataset.users), np.bool_)
    users[members[rarest]] = False
    users[Generator(Philox(key=[_MINORITY_KEY, 0])).choice(members[rarest], size, replace=False)] = True
    return _only(dataset, users)


def _classes(dataset: Dataset, attribute: str) -> list[NDArray[np.int64]]:
    """Rows of the users of each class, none of them empty."""
    found = dataset.attribute(attribute)
    members = [np.flatnonzero(found.labels == label) for label in range(len(found.classes))]
    if len(members) < 2 or not min(map(len, members)):
        raise OneClassError(f"{dataset.name} cannot be balanced by {attribute}: a class has no users")
    return members


def _only(dataset: Dataset, users: Mask) -> Dataset:
    items = np.bincount(dataset.item[users[dataset.user]], minlength=len(dataset.items)) > 0
    return dataset.select(users, items)
