"""The form that every data set is read into."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from client_sdk.weights import Weights
from fedau2.similar import did_you_mean
from simulator.config.own_files import OwnFiles
from simulator.datasets import folders
from simulator.datasets.attributes import Attribute
from simulator.datasets.feedback import Weighted, of_interactions, weigh
from simulator.datasets.histories import Histories
from simulator.errors import ConfigError, DatasetFormatError

if TYPE_CHECKING:
    import pandas as pd

_NOTHING = ", so there is nothing to unlearn and to attack: a file or a frame of users adds some"


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
        notes: sentences about how the files were read, and what was left out.
        unfit: for each column that cannot be an attribute, the reason.
        ratings: the rating of each interaction, float32 (n,); None: there are no ratings.
        kinds: the number of each interaction's kind in `client_sdk.interactions.KINDS`, int8 (n,); None: all are
            ratings where there are ratings, and otherwise views.
    """

    name: str
    users: Sequence[str]
    items: Sequence[str]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    attributes: Mapping[str, Attribute]
    notes: tuple[str, ...] = ()
    unfit: Mapping[str, str] = field(default_factory=dict)
    ratings: NDArray[np.float32] | None = None
    kinds: NDArray[np.int8] | None = None

    @classmethod
    def from_frames(
        cls,
        interactions: "pd.DataFrame",
        users: "pd.DataFrame | None" = None,
        *,
        name: str = "frames",
        user_column: str = "auto",
        item_column: str = "auto",
        time_column: str = "auto",
        rating_column: str = "none",
        kind_column: str = "none",
        min_rating: float = 0.0,
        bins: Mapping[str, Sequence[float]] | None = None,
        fold_case: bool = False,
    ) -> Self:
        """Makes a data set of data frames, by the rules for files of one's own (docs/datasets.md).

        Ids are texts or whole numbers. Times are whole numbers, floats or dates. A column of `users` that holds texts,
        whole numbers or truth values is an attribute; other numbers need `bins`.

        Args:
            interactions: a row for each interaction.
            users: a row for each user, with the attributes; None: no attributes.
            name: the data set's name.
            user_column: column of the users' ids; auto: `user_id`, or the only one that is left.
            item_column: column of the items' ids; auto: `item_id`, or the only one that is left.
            time_column: column of the times; auto: `timestamp`, if it is there. With none, and without times, the order
                of rows stands for time.
            rating_column: column of the ratings; none: every row is an interaction.
            kind_column: column of the kinds: view, like, purchase, dislike or rating; none: all are ratings where there
                are ratings, and otherwise views.
            min_rating: the lowest rating that is an interaction.
            bins: ascending numbers that divide a column of `users` into classes, by column.
            fold_case: true to write classes in small letters.

        Raises:
            ConfigError: a column is not there, or cannot be divided.
            DatasetFormatError: a value cannot be used; the text names column and row, from 0.

        Examples:
            >>> import pandas as pd
            >>> visits = pd.DataFrame(
            ...     {"customer": [7, 7, 8], "item_id": ["tea", "milk", "tea"], "timestamp": [200, 100, 150]}
            ... )
            >>> people = pd.DataFrame({"customer": [7, 8], "age": [31.5, None]})
            >>> dataset = Dataset.from_frames(visits, people, user_column="customer", bins={"age": [25, 45]})
            >>> [dataset.items[row] for row in dataset.histories()[0]]
            ['milk', 'tea']
            >>> dataset.describe()
            'frames: 2 users, 2 items, 3 interactions; age under 25 0/25 to under 45 1/45 and over 0/unknown 1'
        """
        from simulator.datasets import frames, own_data  # here, because pandas takes a while to load

        edges = {column: ",".join(str(float(number)) for number in numbers) for column, numbers in (bins or {}).items()}
        settings = OwnFiles.of(
            user_column=user_column,
            item_column=item_column,
            time_column=time_column,
            rating_column=rating_column,
            kind_column=kind_column,
            min_rating=min_rating,
            bins=tuple(f"{column}={numbers}" for column, numbers in edges.items()),
            fold_case=fold_case,
        )
        people = None if users is None else frames.table("users", users)
        contents = own_data.read(frames.table("interactions", interactions), people, settings)
        return cls(name, **vars(contents))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes RecBole's atomic files, which `load` reads by the folder's name; the order of lines stands for time.

        A file NAME.classes beside them lists the classes of attributes in order. Users and items that have no
        interactions are not kept, and items are numbered in the order of lines. Ratings and kinds are kept in columns
        `rating` and `kind`, which are read where `OwnFiles` names them.

        Args:
            folder: the folder to make.

        Raises:
            ConfigError: the folder has the name of the data set that is generated.
            DatasetExistsError: it is there already.
            DatasetFormatError: an id, a class, the name of an attribute, a rating or a kind would not be read as the
                same one, or there are no interactions.
            OSError: the disk is full or broken. Nothing is left.
        """
        from simulator.datasets import class_lists, saving  # here, because it imports the reader of tables

        path = Path(folder)
        if not len(self.item):
            raise DatasetFormatError(f"{self.name} has no interactions: there is nothing to save")
        saving.expect_ids("user", self.users)
        saving.expect_ids("item", self.items)
        saving.expect_attributes(self.attributes)
        users, items = ([text.encode() for text in ids] for ids in (self.users, self.items))
        classes = {name: column.classes for name, column in self.attributes.items()}
        labels = ([[*classes[name], ""][label].encode() for label in self.attributes[name].labels] for name in classes)
        of_each = saving.feedback(self.ratings, self.kinds)
        with folders.new(path) as temporary:
            pairs = ([users[user] for user in self.user], [items[item] for item in self.item])
            header = ["user_id:token", "item_id:token", *of_each]
            folders.write(temporary / f"{path.name}.inter", header, zip(*pairs, *of_each.values(), strict=True))
            header = ["user_id:token", *(f"{name}:token" for name in classes)]
            folders.write(temporary / f"{path.name}.user", header, zip(users, *labels, strict=True))
            class_lists.write(temporary / f"{path.name}.classes", classes)

    def attribute(self, name: str) -> Attribute:
        """Looks up an attribute.

        Raises:
            ConfigError: there is no such attribute.
        """
        if name in self.attributes:
            return self.attributes[name]
        unfit = (column for column in self.unfit if name in (column, *map(str.strip, column.split(","))))
        reasons = "".join(f"; column {column!r} cannot be an attribute: {self.unfit[column]}" for column in unfit)
        advice = reasons or did_you_mean(name, self.attributes) or ("" if self.attributes else _NOTHING)
        raise ConfigError(
            f"{self.name} has no attribute {name!r}; it has {', '.join(self.attributes) or 'no attributes'}{advice}"
        )

    def histories(self) -> Histories:
        """Returns each user's item rows in order of time."""
        return Histories(self.item, np.bincount(self.user, minlength=len(self.users)))

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
            ratings=None if self.ratings is None else self.ratings[selected],
            kinds=None if self.kinds is None else self.kinds[selected],
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
            "notes": self.remarks(),
        }

    def remarks(self) -> list[str]:
        """Lists the notes, and the columns that cannot be attributes with the reasons."""
        return [*self.notes, *(f"{column!r} cannot be an attribute: {why}" for column, why in self.unfit.items())]

    def weighted(self, weights: Weights) -> list[Weighted]:
        """Weighs each user's items by a plan."""
        ends = np.searchsorted(self.user, np.arange(1, len(self.users)))
        of_each = np.split(of_interactions(len(self.item), self.ratings, self.kinds, weights), ends)
        return [weigh(rows, of_rows) for rows, of_rows in zip(self.histories(), of_each, strict=True)]

    def fingerprint(self) -> str:
        """Hashes everything that a run depends on, except for ratings and kinds: SHA-256 in hex."""
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


def _counts(attribute: Attribute) -> dict[str, int]:
    unknown = int((attribute.labels < 0).sum())
    known = dict(zip(attribute.classes, attribute.counts().tolist(), strict=True))
    return known | {"unknown": unknown} if unknown else known
