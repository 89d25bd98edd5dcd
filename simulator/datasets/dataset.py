"""What every data set becomes."""

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
        classes: names, in label order.
        labels: class number per user, int64 (users,); -1 where it is not known.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]

    def counts(self) -> NDArray[np.int64]:
        """Users of each class, (classes,)."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Implicit feedback: who interacted with what, in order.

    Attributes:
        name: of the data set.
        users: user ids, in row order.
        items: item ids, the catalogue in row order.
        user: user row of each interaction, int64 (n,), ascending.
        item: item row of each interaction, int64 (n,); each user's in order of time, ties in file order.
        attributes: by name.
        notes: what was left out while it was read.
        unfit: columns that are no attributes, and why.
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
        """An attribute by name.

        Raises:
            ConfigError: there is no such attribute.
        """
        if name in self.attributes:
            return self.attributes[name]
        asked = (column for column in self.unfit if name in (column, *map(str.strip, column.split(","))))
        why = "".join(f"; {column!r} is none: {self.unfit[column]}" for column in asked)
        raise ConfigError(f"{self.name} has no attribute {name!r}; it has {', '.join(self.attributes) or 'none'}{why}")

    def histories(self) -> list[NDArray[np.int64]]:
        """Item rows of each user, in order of time."""
        return np.split(self.item, np.searchsorted(self.user, np.arange(1, len(self.users))))

    def select(self, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> "Dataset":
        """What some users and items leave, rows in the same order.

        Args:
            users: which to keep, bool (users,).
            items: likewise, bool (items,).
        """
        kept = users[self.user] & items[self.item]
        user_rows, item_rows = np.cumsum(users) - 1, np.cumsum(items) - 1
        return replace(
            self,
            users=[self.users[row] for row in np.flatnonzero(users).tolist()],
            items=[self.items[row] for row in np.flatnonzero(items).tolist()],
            user=user_rows[self.user[kept]],
            item=item_rows[self.item[kept]],
            attributes={n: Attribute(each.classes, each.labels[users]) for n, each in self.attributes.items()},
        )

    def figures(self) -> dict[str, Any]:
        """Sizes, density (interactions over cells) and users per class, for JSON."""
        cells = len(self.users) * len(self.items)
        return {
            "name": self.name,
            "users": len(self.users),
            "items": len(self.items),
            "interactions": len(self.item),
            "density": len(self.item) / cells if cells else 0.0,
            "attributes": {name: _counts(each) for name, each in self.attributes.items()},
            "notes": [*self.notes, *(f"{column!r} is no attribute: {why}" for column, why in self.unfit.items())],
        }

    def fingerprint(self) -> str:
        """SHA-256 in hex of everything that a run depends on."""
        digest = hashlib.sha256()
        labels = {name: (each.classes, each.labels.tolist()) for name, each in sorted(self.attributes.items())}
        digest.update(json.dumps([list(self.users), list(self.items), labels]).encode())
        for rows in (self.user, self.item):
            digest.update(rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """One line: sizes and classes."""
        sizes = f"{len(self.users):,} users, {len(self.items):,} items, {len(self.item):,} interactions"
        attributes = [
            f"{name} {'/'.join(f'{label} {count:,}' for label, count in _counts(each).items())}"
            for name, each in self.attributes.items()
        ]
        return "; ".join([f"{self.name}: {sizes}", *attributes])


def ordered(
    user: NDArray[np.int32], item: NDArray[np.int32], time: NDArray[np.float64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Interactions in file order, sorted by user, then by time if it is known; ties keep file order."""
    order = np.argsort(user, kind="stable") if time is None else np.lexsort((time, user))
    return user[order].astype(np.int64), item[order].astype(np.int64)


def _counts(attribute: Attribute) -> dict[str, int]:
    unknown = int((attribute.labels < 0).sum())
    known = dict(zip(attribute.classes, attribute.counts().tolist(), strict=True))
    return known | {"unknown": unknown} if unknown else known
