"""Reads the user's data from RecBole's atomic files: NAME.inter and, for attributes, NAME.user.

The files are tab-separated and have a typed header. NAME.inter has a column of users, one of items, and optionally
one of times: `user_id:token`, `item_id:token` and `timestamp:float`, or others that the settings name. In NAME.user
every column of type `token` besides the users' is an attribute, and so is a column of numbers that the settings divide.
A column that cannot be an attribute is listed in `Dataset.unfit` with the reason. NAME.classes, which RecBole does not
know, may list the classes of attributes in order: `attribute:token` and `class:token`.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from simulator.config.own_files import OwnFiles
from simulator.datasets import class_lists, columns, files, own_data, table
from simulator.datasets.dataset import Dataset
from simulator.datasets.own_data import Table
from simulator.datasets.table import Block
from simulator.errors import DatasetFormatError

TYPES = (columns.TOKEN, "token_seq", columns.FLOAT, "float_seq")
_NOT_READ = ("item", "net", "kg", "link")
"""Endings of RecBole's other files."""


def load(folder: Path, name: str, settings: OwnFiles | None = None) -> Dataset:
    """Reads NAME.inter and NAME.user (plain or .gz) in bounded memory.

    Args:
        folder: holds the files.
        name: the data set's name.
        settings: those by which they are read; None for the defaults.

    Raises:
        ConfigError: a column that was to be divided is not there, or cannot be divided.
        DatasetError: a file is missing, damaged or malformed; the text names file and line.
    """
    settings, user = settings or OwnFiles(), f"{name}.user"
    interactions = _table(folder, f"{name}.inter", settings.encoding)
    people = _table(folder, user, settings.encoding) if files.exists(folder, user) else None
    if people and files.exists(folder, f"{name}.classes"):
        listed = _table(folder, f"{name}.classes", settings.encoding)
        people = replace(people, classes=class_lists.read(listed, people))
    contents = own_data.read(interactions, people, settings)
    dataset = Dataset(name, **vars(contents))
    ignored = (f"{name}.{ending} is not read" for ending in _NOT_READ if files.exists(folder, f"{name}.{ending}"))
    return replace(dataset, notes=(*dataset.notes, *ignored))


def _table(folder: Path, file: str, encoding: str) -> Table:
    header = _header(folder, file, encoding)

    def blocks(used: Collection[str]) -> Iterator[Block]:
        names = [column if column in used else "" for column in header]
        for block in table.read(folder, file, names, "\t", encoding=encoding, header=True):
            block.expect_well_formed()
            yield block

    return Table(file, header, blocks)


def _header(folder: Path, file: str, encoding: str) -> dict[str, str]:
    data = next(files.blocks(folder, file, encoding), b"")
    if not data.strip():
        raise DatasetFormatError(f"{file} is empty; it must begin with a header such as user_id:token")
    header: dict[str, str] = {}
    for field in data.partition(b"\n")[0].decode().strip("\r").split("\t"):
        column, _, kind = field.rpartition(":")
        if column in header:
            raise DatasetFormatError(f"{file}, line 1: column {column!r} is listed twice")
        if not column or kind not in TYPES:
            raise DatasetFormatError(
                f"{file}, line 1: {field!r} is not a column such as user_id:token; the types are {', '.join(TYPES)}"
            )
        header[column] = kind
    return header
