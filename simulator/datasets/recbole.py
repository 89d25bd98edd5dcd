"""Reads the user's data from RecBole's atomic files: NAME.inter and, for attributes, NAME.user.

The files are tab-separated and have a typed header. NAME.inter has the columns `user_id:token`, `item_id:token` and
optionally `timestamp:float`. In NAME.user every column of type `token` besides `user_id` is an attribute; its value is
unknown where the field is empty. A column that cannot be an attribute is listed in `Dataset.unfit` with the reason.
"""

from pathlib import Path

import numpy as np

from simulator.datasets import files, table
from simulator.datasets.dataset import Attribute, Dataset, ordered
from simulator.errors import DatasetFormatError

TYPES = ("token", "token_seq", "float", "float_seq")
MOST_CLASSES = 50
"""A column with more different values, such as a postal code, is not an attribute."""


def load(folder: Path, name: str) -> Dataset:
    """Reads NAME.inter and NAME.user (plain or .gz) in bounded memory.

    Args:
        folder: holds the files.
        name: the data set's name.

    Raises:
        DatasetError: a file is missing, damaged or malformed; the text names file and line.
    """
    file = f"{name}.inter"
    header = _header(folder, file, ("user_id", "item_id"))
    timed = header.get("timestamp") == "float"
    used = ["user_id", "item_id", *(["timestamp"] if timed else [])]
    users, items, parts = table.Ids(), table.Ids(), []
    for block in table.read(folder, file, [column if column in used else "" for column in header], "\t", header=True):
        block.expect_well_formed()
        for column in ("user_id", "item_id"):
            _expect_ids(block, column)
        time = block.numbers("timestamp", table.DECIMAL) if timed else np.zeros(len(block.lines))
        parts.append((users.add(block.columns["user_id"]), items.add(block.columns["item_id"]), time))
    if not users:
        raise DatasetFormatError(f"{file} has no interactions")
    user, item, time = map(np.concatenate, zip(*parts, strict=True))
    user, item = ordered(user, item, time if timed else None)
    attributes, unfit = _attributes(folder, f"{name}.user", users)
    return Dataset(name, users.texts(), items.texts(), user, item, attributes, unfit=unfit)


def _header(folder: Path, file: str, required: tuple[str, ...]) -> dict[str, str]:
    data = next(files.blocks(folder, file), b"")
    if not data.strip():
        raise DatasetFormatError(f"{file} is empty; it must begin with a header such as user_id:token")
    first = data.partition(b"\n")[0].decode("utf-8", "replace").strip("\r\ufeff")
    columns: dict[str, str] = {}
    for field in first.split("\t"):
        column, _, kind = field.rpartition(":")
        if column in columns:
            raise DatasetFormatError(f"{file}, line 1: column {column!r} is listed twice")
        if not column or kind not in TYPES:
            raise DatasetFormatError(
                f"{file}, line 1: {field!r} is not a column such as user_id:token; the types are {', '.join(TYPES)}"
            )
        columns[column] = kind
    for column in required:
        if columns.get(column) != "token":
            raise DatasetFormatError(
                f"{file}, line 1: the column {column}:token is missing; columns are separated by tabs"
            )
    return columns


def _expect_ids(block: table.Block, column: str) -> None:
    empty = np.flatnonzero(~block.matches(column, "^."))
    if empty.size:
        raise block.error(int(empty[0]), f"the {column} is empty")


def _attributes(folder: Path, file: str, users: table.Ids) -> tuple[dict[str, Attribute], dict[str, str]]:
    if not any((folder / f"{file}{suffix}").is_file() for suffix in ("", ".gz")):
        return {}, {}
    header = _header(folder, file, ("user_id",))
    names = [name for name, kind in header.items() if kind == "token" and name != "user_id"]
    values = {name: table.Ids([b""]) for name in names}
    numbers = {name: np.zeros(len(users), np.int64) for name in names}
    seen = np.zeros(len(users), np.bool_)
    columns = [column if column == "user_id" or column in names else "" for column in header]
    for block in table.read(folder, file, columns, "\t", header=True):
        block.expect_well_formed()
        _expect_ids(block, "user_id")
        rows = users.find(block.columns["user_id"])
        known = rows >= 0
        _expect_listed_once(block, rows, seen)
        for name in names:
            numbers[name][rows[known]] = values[name].add(block.columns[name])[known]
    candidates = {name: _attribute(values[name].texts(), numbers[name]) for name in names}
    unfit = {name: reason for name, candidate in candidates.items() if (reason := _unfit(file, name, candidate))}
    return {name: candidate for name, candidate in candidates.items() if name not in unfit}, unfit


def _unfit(file: str, name: str, attribute: Attribute) -> str:
    """Gives the reason why a column cannot be an attribute; empty if it can."""
    if "," in name:
        return "its name has a comma, which separates the names of several attributes"
    if not attribute.classes:
        return f"no user with a value in {file} has interactions"
    if len(attribute.classes) > MOST_CLASSES:
        return f"it has {len(attribute.classes):,} different values, more than {MOST_CLASSES}"
    return ""


def _expect_listed_once(block: table.Block, rows: np.ndarray, seen: np.ndarray) -> None:
    places = np.flatnonzero(rows >= 0)
    _, first = np.unique(rows[places], return_index=True)
    fresh = np.zeros(len(rows), np.bool_)
    fresh[places[first]] = ~seen[rows[places[first]]]
    again = places[~fresh[places]]
    if again.size:
        raise block.error(int(again[0]), f"user {block.text('user_id', int(again[0]))!r} is listed twice")
    seen[rows[places]] = True


def _attribute(texts: list[str], numbers: np.ndarray) -> Attribute:
    """Makes an attribute whose classes are the values that users have, sorted.

    Args:
        texts: the column's values in order of appearance; the first stands for unknown.
        numbers: each user's place in `texts`, (users,).
    """
    used = sorted({texts[number] for number in np.unique(numbers) if number})
    label = {text: row for row, text in enumerate(used)}
    return Attribute(tuple(used), np.array([label.get(text, -1) for text in texts], np.int64)[numbers])
