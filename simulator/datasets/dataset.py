"""What every data set becomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Attribute:
    """A user attribute with known classes.

    Attributes:
        classes: names, in label order.
        labels: class number per user, int64 (users,); -1 where it is not known.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]


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
    """

    name: str
    users: Sequence[str]
    items: Sequence[str]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    attributes: Mapping[str, Attribute]

    def histories(self) -> list[NDArray[np.int64]]:
        """Item rows of each user, in order of time."""
        return np.split(self.item, np.searchsorted(self.user, np.arange(1, len(self.users))))

    def describe(self) -> str:
        """One line: sizes and classes."""
        sizes = f"{len(self.users):,} users, {len(self.items):,} items, {len(self.item):,} interactions"
        return "; ".join([f"{self.name}: {sizes}", *(f"{n} {_counts(a)}" for n, a in self.attributes.items())])


def _counts(attribute: Attribute) -> str:
    counts = np.bincount(attribute.labels[attribute.labels >= 0], minlength=len(attribute.classes))
    known = [f"{name} {count:,}" for name, count in zip(attribute.classes, counts, strict=True)]
    unknown = int((attribute.labels < 0).sum())
    return "/".join([*known, f"unknown {unknown:,}"] if unknown else known)
