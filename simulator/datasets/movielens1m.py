"""Reads MovieLens 1M from its files (Harper and Konstan, 2015, doi 10.1145/2827872)."""

from pathlib import Path

import numpy as np

from simulator.datasets import table
from simulator.datasets.attributes import Attribute
from simulator.datasets.dataset import Dataset
from simulator.datasets.ids import Ids
from simulator.datasets.times import order_of, ordered
from simulator.errors import DatasetFormatError

NAME = "ml-1m"
URL = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
CHECKSUMS = {
    "ratings.dat": "a89aa3591bc97d6d4e0c89459ff39362",
    "users.dat": "1dc3a95300cb19f7c10e027daf29b8cdf1d908dab65b5edfb45950aa389a10a3",
}
"""Checksums that downloaded files must have; `load` itself accepts any files of this format."""

GENDERS = ("M", "F")
AGES = ("under 25", "25 to 34", "35 and over")
_AGE_STARTS = np.array([25, 35])
_CODES = (1, 18, 25, 35, 45, 50, 56)
"""Age codes of the files: the lowest age of each range, and 1 for under 18."""
_RATING = ["user", "item", "rating", "time"]
_USER = ["user", "gender", "age", "occupation", "zip"]


def load(folder: Path, encoding: str = "utf-8") -> Dataset:
    """Reads ratings.dat and users.dat (plain or .gz). Every rating counts as an interaction; the catalogue holds
    the movies that were rated.

    Args:
        folder: holds the files.
        encoding: of the files, as Python names it; the official ones are ASCII.

    Raises:
        DatasetError: a file is missing, damaged or malformed; the text names file and line.
    """
    ids, attributes = _users(folder, encoding)
    known, items = Ids([identifier.encode() for identifier in ids]), Ids()
    parts = []
    for block in table.read(folder, "ratings.dat", _RATING, "::", encoding=encoding):
        block.expect_well_formed()
        user = known.find(block.columns["user"])
        if (user < 0).any():
            row = int(np.argmin(user))
            raise block.error(row, f"user {block.text('user', row)!r} is not in users.dat")
        block.integers("item")
        columns = items.add(block.columns["item"]), block.integers("time"), block.integers("rating")
        parts.append((user, *columns))
    if not len(items):
        raise DatasetFormatError("ratings.dat has no ratings")
    user, item, time, stars = map(np.concatenate, zip(*parts, strict=True))
    catalogue = np.array(items.texts())
    order = np.argsort(catalogue.astype(np.int64))
    history = ordered(user, np.argsort(order).astype(np.int32)[item], [time])
    ratings = stars[order_of(user, [time])].astype(np.float32)
    return Dataset(NAME, ids, catalogue[order].tolist(), *history, attributes, ratings=ratings)


def _users(folder: Path, encoding: str) -> tuple[list[str], dict[str, Attribute]]:
    ids = Ids()
    genders, ages = [], []
    for block in table.read(folder, "users.dat", _USER, "::", encoding=encoding):
        block.expect_well_formed()
        ids.add_once(block, "user")
        odd = np.flatnonzero(~block.matches("gender", "^[MF]$"))
        if odd.size:
            row = int(odd[0])
            text = f"user {block.text('user', row)}: gender {block.text('gender', row)!r} is neither M nor F"
            raise block.error(row, text)
        genders.append(block.matches("gender", "F").astype(np.int64))
        codes = block.integers("age")
        odd = np.flatnonzero(~np.isin(codes, _CODES))
        if odd.size:
            row = int(odd[0])
            text = f"user {block.text('user', row)}: age {block.text('age', row)!r} is not one of {_CODES}"
            raise block.error(row, text)
        ages.append(np.searchsorted(_AGE_STARTS, codes, "right"))
    if not len(ids):
        raise DatasetFormatError("users.dat has no users")
    gender, age = np.concatenate(genders), np.concatenate(ages)
    return ids.texts(), {"gender": Attribute(GENDERS, gender), "age": Attribute(AGES, age)}
