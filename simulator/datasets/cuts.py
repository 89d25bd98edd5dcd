"""Cuts a data set: to the iterative k-core, to equally large classes, or to few users of the rarest class."""

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from simulator.datasets.dataset import Dataset
from simulator.errors import ConfigError, EmptyCoreError, OneClassError

_BALANCE_KEY, _MINORITY_KEY = 0xFEDA0D, 0xFEDA0E
"""Public keys: every run on the same data set draws the same users."""

Mask = NDArray[np.bool_]


def cut(
    dataset: Dataset,
    user_core: int,
    item_core: int,
    equal: str | None = None,
    minority: tuple[str, float] | None = None,
) -> Dataset:
    """Makes the cuts one after another: the k-core, equally large classes, and a rarer minority.

    Args:
        dataset: the data set.
        user_core: different items that each user has at least; 0 or 1 for no cut.
        item_core: different users that each item has at least; 0 or 1 for no cut.
        equal: attribute whose classes are cut to equally many users.
        minority: attribute, and the share of the users to which its rarest class is cut.

    Raises:
        ConfigError: there is no such attribute, or a cut cannot be made.
        DatasetError: a cut leaves nothing.
    """
    if max(user_core, item_core) > 1:
        dataset = cut_to_core(dataset, user_core, item_core)
    if equal is not None:
        dataset = balance(dataset, equal)
    return dataset if minority is None else thin(dataset, *minority)


def k_core(
    user: NDArray[np.int64], item: NDArray[np.int64], shape: tuple[int, int], cores: tuple[int, int]
) -> tuple[Mask, Mask]:
    """Finds the largest set of users and items in which each user has enough items and each item enough users.

    Args:
        user: user row of each interaction, (n,).
        item: item row of each interaction, (n,); repeats of a pair count once.
        shape: number of users and of items.
        cores: least number of different items per user, and of different users per item.

    Returns:
        Masks of the users and of the items in the set, bool (users,) and (items,).
    """
    pairs = np.unique(user.astype(np.int64) * shape[1] + item)
    rows = [pairs // shape[1], pairs % shape[1]]
    masks = [np.ones(size, np.bool_) for size in shape]
    while True:
        enough = [
            np.bincount(side, minlength=size) >= core for side, size, core in zip(rows, shape, cores, strict=True)
        ]
        if all((keep | ~mask).all() for keep, mask in zip(enough, masks, strict=True)):
            return masks[0], masks[1]
        masks = [mask & keep for mask, keep in zip(masks, enough, strict=True)]
        remaining = masks[0][rows[0]] & masks[1][rows[1]]
        rows = [side[remaining] for side in rows]


def cut_to_core(dataset: Dataset, user_core: int, item_core: int) -> Dataset:
    """Cuts a data set to its k-core; users and items keep their order.

    Args:
        dataset: the data set to cut.
        user_core: different items that each user has at least.
        item_core: different users that each item has at least.

    Raises:
        EmptyCoreError: the core is empty.
    """
    shape = (len(dataset.users), len(dataset.items))
    users, items = k_core(dataset.user, dataset.item, shape, (user_core, item_core))
    if not users.any() or not items.any():
        raise EmptyCoreError(
            f"{dataset.name} has no core with {user_core} items for each user and {item_core} users for each item: "
            "lower --user-core or --item-core"
        )
    return dataset.select(users, items)


def balance(dataset: Dataset, attribute: str) -> Dataset:
    """Draws as many users of each class as the smallest class has; items without interactions are removed.

    Raises:
        ConfigError: the data set has no such attribute.
        OneClassError: a class has no users.
    """
    members = _classes(dataset, attribute)
    size = min(map(len, members))
    rng = Generator(Philox(key=[_BALANCE_KEY, 0]))
    users = np.zeros(len(dataset.users), np.bool_)
    for rows in members:
        users[rng.choice(rows, size, replace=False)] = True
    return _restrict(dataset, users)


def thin(dataset: Dataset, attribute: str, share: float) -> Dataset:
    """Cuts the rarest class to a share of the users whose class is known, rounded down.

    All other users stay. Items without interactions are removed.

    Args:
        dataset: the data set to cut.
        attribute: the attribute whose rarest class is cut.
        share: the new share, above 0 and below the class's share in the data set.

    Raises:
        ConfigError: the data set has no such attribute, or the class is already rarer.
        OneClassError: a class has no users.
    """
    members = _classes(dataset, attribute)
    rarest = int(np.argmin([len(rows) for rows in members]))
    others = sum(map(len, members)) - len(members[rarest])
    size = int(others * share / (1 - share))
    if not 0 < size < len(members[rarest]):
        name = dataset.attributes[attribute].classes[rarest]
        raise ConfigError(
            f"{dataset.name}: {name}, the rarest class of {attribute}, has {len(members[rarest])} users, and the "
            f"other classes have {others}: it cannot be cut to a share of {share:g}"
        )
    users = np.ones(len(dataset.users), np.bool_)
    users[members[rarest]] = False
    users[Generator(Philox(key=[_MINORITY_KEY, 0])).choice(members[rarest], size, replace=False)] = True
    return _restrict(dataset, users)


def _classes(dataset: Dataset, attribute: str) -> list[NDArray[np.int64]]:
    """Lists the rows of the users of each class.

    Raises:
        OneClassError: a class has no users.
    """
    column = dataset.attribute(attribute)
    members = [np.flatnonzero(column.labels == label) for label in range(len(column.classes))]
    if len(members) < 2 or not min(map(len, members)):
        raise OneClassError(f"{dataset.name} cannot be cut by {attribute}: a class has no users")
    return members


def _restrict(dataset: Dataset, users: Mask) -> Dataset:
    items = np.bincount(dataset.item[users[dataset.user]], minlength=len(dataset.items)) > 0
    return dataset.select(users, items)
