"""Reads MovieLens 20M and 25M from ratings.csv (Harper and Konstan, 2015, doi 10.1145/2827872).

They have no attributes of users.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.datasets import files, table
from simulator.datasets.dataset import Dataset
from simulator.datasets.ids import Ids
from simulator.datasets.times import order_of
from simulator.errors import DatasetDamagedError, DatasetFormatError

FILE = "ratings.csv"
COLUMNS = ("userId", "movieId", "rating", "timestamp")
NO_ATTRIBUTES = "the data set has no attributes of users, so there is nothing to unlearn and to attack"


@dataclass(frozen=True)
class Edition:
    """One of the data sets of this format.

    Attributes:
        name: the data set's name.
        ratings: the number of ratings that its authors publish.
    """

    name: str
    ratings: int

    @property
    def home(self) -> str:
        """The address of its home page."""
        return f"https://grouplens.org/datasets/movielens/{self.name.removeprefix('ml-')}/"


ML_20M = Edition("ml-20m", 20_000_263)
ML_25M = Edition("ml-25m", 25_000_095)
EDITIONS = (ML_20M, ML_25M)


def load(folder: Path, edition: Edition) -> Dataset:
    """Reads ratings.csv (plain or .gz) in blocks. Every rating is an interaction; the catalogue holds the movies that
    were rated.

    Args:
        folder: holds the file.
        edition: the data set that it must be.

    Raises:
        DatasetDamagedError: the file has another number of ratings, as a half-finished download has.
        DatasetError: the file is missing or malformed; the text names file and line.
    """
    _expect_whole_lines(folder)
    people, movies = Ids(), Ids()
    users, items, times, ratings = list[Any](), list[Any](), list[Any](), list[Any]()
    for block in table.read(folder, FILE, COLUMNS, ",", header=True):
        block.expect_well_formed()
        for column in COLUMNS[:2]:
            block.expect(column, table.WHOLE, "a whole number")
        users.append(people.add(block.columns["userId"]))
        items.append(movies.add(block.columns["movieId"]))
        times.append(block.integers("timestamp"))
        ratings.append(block.decimals("rating").astype(np.float32))
    _expect_all(edition, sum(map(len, users)))
    user = _joined(users)
    order = order_of(user, [_joined(times)])
    catalogue = np.array(movies.texts())
    by_number = np.argsort(catalogue.astype(np.int64))
    return Dataset(
        edition.name,
        people.texts(),
        catalogue[by_number].tolist(),
        user[order].astype(np.int64),
        np.argsort(by_number)[_joined(items)[order]],
        {},
        (NO_ATTRIBUTES,),
        ratings=_joined(ratings)[order],
    )


def _joined(parts: list[Any]) -> Any:  # noqa: ANN401
    """Joins the parts of a column, and lets go of them: there are many millions of rows."""
    column = np.concatenate(parts)
    parts.clear()
    return column


def _expect_whole_lines(folder: Path) -> None:
    first = next(files.blocks(folder, FILE), b"").partition(b"\n")[0].decode().strip()
    expected = ",".join(COLUMNS)
    if first != expected:
        raise DatasetFormatError(f"{FILE}, line 1: the first line must be {expected!r}, not {first[:100]!r}")
    path = files.find(folder, FILE)
    with path.open("rb") as file:
        file.seek(-min(1, path.stat().st_size), os.SEEK_END)
        if path.name == FILE and file.read() != b"\n":
            raise DatasetDamagedError(f"{path} ends within a line: its download or its unpacking has not finished")


def _expect_all(edition: Edition, ratings: int) -> None:
    if ratings != edition.ratings:
        raise DatasetDamagedError(
            f"{FILE} has {ratings:,} ratings, and {edition.name} has {edition.ratings:,}: the download or the "
            f"unpacking has not finished, or it is another data set. Get {edition.name}.zip from {edition.home} again; "
            "`fedau2-sim datasets import` reads a part of it, or another data set"
        )
