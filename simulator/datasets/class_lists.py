"""The file NAME.classes: all classes of attributes, in order, those that no user has included."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simulator.datasets import columns, folders
from simulator.datasets.attributes import value
from simulator.datasets.own_data import Table
from simulator.errors import DatasetFormatError

_COLUMNS = _ATTRIBUTE, _CLASS = "attribute", "class"
"""The columns: a line for each class of each attribute."""


def write(path: Path, classes: Mapping[str, Sequence[str]]) -> None:
    """Writes the file, if there is anything to list.

    Args:
        path: the file.
        classes: by attribute, without tabs and line breaks.
    """
    rows = [[name.encode(), text.encode()] for name, texts in classes.items() for text in texts]
    if rows:
        folders.write(path, [f"{column}:{columns.TOKEN}" for column in _COLUMNS], rows)


def read(table: Table, people: Table) -> dict[str, list[str]]:
    """Reads the file.

    Args:
        table: the file.
        people: the users' file, which has a column for each attribute.

    Returns:
        The classes by attribute.

    Raises:
        DatasetFormatError: a line cannot be used; the text names it.
    """
    if {table.header.get(column) for column in _COLUMNS} != {columns.TOKEN}:
        raise DatasetFormatError(f"{table.file}: the columns must be {_ATTRIBUTE}:token and {_CLASS}:token")
    classes: dict[str, list[str]] = {}
    for block in table.blocks(_COLUMNS):
        names, texts = ([text.decode() for text in block.columns[column].to_pylist()] for column in _COLUMNS)
        strange = np.array([people.header.get(name) != columns.TOKEN for name in names], np.bool_)
        block.refuse(strange, _ATTRIBUTE, f"is no column of {people.file} whose type is {columns.TOKEN}")
        unusual = np.array([value(text) != text or not text for text in texts], np.bool_)
        block.refuse(unusual, _CLASS, "is empty, is a word for an unknown value, or has spaces around it")
        for row, (name, text) in enumerate(zip(names, texts, strict=True)):
            if text in classes.setdefault(name, []):
                raise block.error(row, f"class {text!r} of {name!r} is listed twice")
            classes[name].append(text)
    return classes
