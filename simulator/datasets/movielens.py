"""Reads MovieLens 100K from its files (Harper and Konstan, 2015, doi 10.1145/2827872)."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.datasets import files
from simulator.datasets.attributes import Attribute
from simulator.datasets.dataset import Dataset
from simulator.errors import DatasetFormatError

NAME = "ml-100k"
URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
CHECKSUMS = {
    "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    "u.user": "f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c",
    "u.item": "553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701",
}
"""SHA-256 of the official files."""

GENDERS = ("M", "F")
AGES = ("under 27", "27 to 37", "38 and over")
_AGE_STARTS = np.array([27, 38])


def load(folder: Path, checksums: files.Checksums = CHECKSUMS) -> Dataset:
    """Reads u.data, u.user and u.item (plain or .gz). Every rating is an interaction.

    Args:
        folder: the folder that holds the files.
        checksums: checksums of the files; empty to accept any files of this format.

    Raises:
        DatasetError: a file is missing, damaged or malformed; the text names file and line.
    """
    user_lines = list(files.rows(files.read(folder, "u.user", checksums), "u.user", "|", 5))
    item_lines = list(files.rows(files.read(folder, "u.item", checksums), "u.item", "|", 2))
    users = _ids("u.user", user_lines)
    items = _ids("u.item", item_lines)
    user, item, ratings = _interactions(files.read(folder, "u.data", checksums), users, items)
    return Dataset(NAME, list(users), list(items), user, item, _attributes(user_lines), ratings=ratings)


def _ids(name: str, lines: Iterable[tuple[int, Sequence[str]]]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for number, fields in lines:
        if not fields[0]:
            raise DatasetFormatError(f"{name}, line {number}: the id is empty")
        if fields[0] in ids:
            raise DatasetFormatError(f"{name}, line {number}: id {fields[0]!r} is listed twice")
        ids[fields[0]] = len(ids)
    return ids


def _interactions(
    data: bytes, users: dict[str, int], items: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    interactions: list[tuple[int, int, int, int]] = []
    for number, (user, item, rating, time, *_rest) in files.rows(data, "u.data", "\t", 4):
        where = f"u.data, line {number}"
        if user not in users:
            raise DatasetFormatError(f"{where}: user {user!r} is not in u.user")
        if item not in items:
            raise DatasetFormatError(f"{where}: item {item!r} is not in u.item")
        stars = _number(rating, f"{where}: rating")
        interactions.append((users[user], items[item], _number(time, f"{where}: time"), stars))
    table = np.array(interactions, np.int64).reshape(-1, 4)
    order = np.lexsort((np.arange(len(table)), table[:, 2], table[:, 0]))
    return table[order, 0], table[order, 1], table[order, 3].astype(np.float32)


def _number(text: str, field: str) -> int:
    # 18 digits fit an int64.
    if not text.isdecimal() or len(text) > 18:
        raise DatasetFormatError(f"{field} {text!r} is not a whole number")
    return int(text)


def _attributes(lines: Iterable[tuple[int, Sequence[str]]]) -> dict[str, Attribute]:
    genders, ages = [], []
    for number, (user, age, gender, *_rest) in lines:
        where = f"u.user, line {number}: user {user}:"
        if gender not in GENDERS:
            raise DatasetFormatError(
                f"{where} gender {gender!r} is neither M nor F; leave the user out or complete the file"
            )
        genders.append(GENDERS.index(gender))
        ages.append(int(np.searchsorted(_AGE_STARTS, _number(age, f"{where} age"), "right")))
    return {"gender": Attribute(GENDERS, np.array(genders)), "age": Attribute(AGES, np.array(ages))}
