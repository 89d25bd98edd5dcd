"""The form that every data set is read into."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Attribute:
    """A user attribute with known classes.

    Attributes:
        classes: the names of the classes, in label order.
        labels: each user's class number, int64 (users,); -1 where it is unknown.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]

    def counts(self) -> NDArray[np.int64]:
        """Counts the users of each class, (classes,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Implicit feedback: the items that each user interacted with, in order.

    Attributes:
        name: the data set's name.
        users: user ids, in row order.
        items: item ids, the catalogue in row order.
        user: the user row of each interaction, int64 (n,), ascending.
        item: the item row of each interaction, int64 (n,); a user's items in order of time, ties as in the file.
        attributes: the users' attributes by name.
        notes: sentences about what was left out on reading.
        unfit: for each column that cannot be an attribute, the reason.
    """

    name: str
    users: Sequence[str]
    items: Sequence[str]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    attributes: Mapping[str, Attribute]
    notes: tuple[str, ...] = ()
    unfit: Mapping[str, str] = field(default_factory=dict)

    def attribute(self, name: str) -> Attribute:
        """Looks up an attribute.

        Raises:
            ConfigError: there is no such attribute.
        """
        if name in self.attributes:
            return self.attributes[name]
        unfit = (column for column in self.unfit if name in (column, *map(str.strip, column.split(","))))
        reasons = "".join(f"; column {column!r} cannot be an attribute: {self.unfit[column]}" for column in unfit)
        raise ConfigError(
            f"{self.name} has no attribute {name!r}; it has {', '.join(self.attributes) or 'no attributes'}{reasons}"
        )

    def histories(self) -> list[NDArray[np.int64]]:
        """Lists each user's item rows in order of time."""
        return np.split(self.item, np.searchsorted(self.user, np.arange(1, len(self.users))))

    def select(self, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> "Dataset":
        """Restricts the data set to some users and items, which keep their order.

        Args:
            users: true for each user to keep, bool (users,).
            items: true for each item to keep, bool (items,).
        """
        selected = users[self.user] & items[self.item]
        user_rows, item_rows = np.cumsum(users) - 1, np.cumsum(items) - 1
        return replace(
            self,
            users=[self.users[row] for row in np.flatnonzero(users).tolist()],
            items=[self.items[row] for row in np.flatnonzero(items).tolist()],
            user=user_rows[self.user[selected]],
            item=item_rows[self.item[selected]],
            attributes={name: Attribute(old.classes, old.labels[users]) for name, old in self.attributes.items()},
        )

    def figures(self) -> dict[str, Any]:
        """Gives sizes, density (interactions over cells) and users per class, for JSON."""
        cells = len(self.users) * len(self.items)
        return {
            "name": self.name,
            "users": len(self.users),
            "items": len(self.items),
            "interactions": len(self.item),
            "density": len(self.item) / cells if cells else 0.0,
            "attributes": {name: _counts(attribute) for name, attribute in self.attributes.items()},
            "notes": [
                *self.notes,
                *(f"{column!r} cannot be an attribute: {reason}" for column, reason in self.unfit.items()),
            ],
        }

    def fingerprint(self) -> str:
        """Hashes everything that a run depends on: SHA-256 in hex."""
        digest = hashlib.sha256()
        labels = {name: (column.classes, column.labels.tolist()) for name, column in sorted(self.attributes.items())}
        digest.update(json.dumps([list(self.users), list(self.items), labels]).encode())
        for rows in (self.user, self.item):
            digest.update(rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """Describes sizes and classes in one line."""
        sizes = f"{len(self.users):,} users, {len(self.items):,} items, {len(self.item):,} interactions"
        attributes = [
            f"{name} {'/'.join(f'{label} {count:,}' for label, count in _counts(attribute).items())}"
            for name, attribute in self.attributes.items()
        ]
        return "; ".join([f"{self.name}: {sizes}", *attributes])


def ordered(
    user: NDArray[np.int32], item: NDArray[np.int32], time: NDArray[np.float64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorts interactions by user and then by time, if that is known; ties keep their order in the file."""
    order = np.argsort(user, kind="stable") if time is None else np.lexsort((time, user))
    return user[order].astype(np.int64), item[order].astype(np.int64)


def _counts(attribute: Attribute) -> dict[str, int]:
    unknown = int((attribute.labels < 0).sum())
    known = dict(zip(attribute.classes, attribute.counts().tolist(), strict=True))
    return known | {"unknown": unknown} if unknown else known
