"""Reads tables with separators, and mostly with a line of names, as spreadsheets and databases write them."""

import csv
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from simulator.datasets import columns, dates, files
from simulator.datasets.attributes import is_number
from simulator.datasets.own_data import Table
from simulator.datasets.table import Block
from simulator.errors import DatasetFormatError

ROWS = 1 << 16
"""Rows of a block."""

_TABS = (".tsv", ".tab")
_OTHERS = {"\t": "tab", ";": ";", ",": ",", "|": "|"}


def delimiter_of(path: Path) -> str:
    """Returns the usual separator of a file of this name: a tab for .tsv and .tab, a comma for others."""
    return "\t" if {*path.suffixes[-2:]} & {*_TABS} else ","


def first_row(path: Path, encoding: str, delimiter: str) -> list[str]:
    """Returns the fields of the first line of a table; none if it is empty.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    return next(_rows(path, encoding, delimiter), (1, list[str]()))[1]


def table(
    path: Path, encoding: str, delimiter: str, names: Sequence[str] | None = None, known: Collection[str] = ()
) -> Table:
    """Opens a table, plain or .gz.

    Args:
        path: the file.
        encoding: its encoding, as Python names it.
        delimiter: the character between two fields; fields that hold it stand in double quotes.
        names: of the columns; None: the first line has them.
        known: names by which a first line is known for one of names, even where it has numbers or dates too.

    Raises:
        DatasetError: the file is missing, damaged or empty, or its first line is not a header.
    """
    first = first_row(path, encoding, delimiter)
    header = list(names) if names else _header(path.name, first, delimiter, known)

    def blocks(used: Collection[str]) -> Iterator[Block]:
        places = {name: header.index(name) for name in used}
        rows = islice(_rows(path, encoding, delimiter), 0 if names else 1, None)
        while part := list(islice(rows, ROWS)):
            for line, row in part:
                if len(row) != len(header):
                    raise DatasetFormatError(
                        f"{path.name}, line {line}: {len(row)} fields where there are {len(header)} names of columns"
                    )
            texts = {name: [row[place].encode() for _, row in part] for name, place in places.items()}
            lines = np.array([line for line, _ in part], np.int64)
            yield Block(path.name, lines, {name: pa.array(column, pa.binary()) for name, column in texts.items()})

    return Table(path.name, columns.untyped(header), blocks)


def _header(file: str, header: list[str], delimiter: str, known: Collection[str]) -> list[str]:
    names = [name.strip() for name in header]
    if not any(names):
        raise DatasetFormatError(f"{file} is empty; it must begin with a line of column names")
    other = next((sign for sign in _OTHERS if sign != delimiter and sign in names[0]), None)
    if len(names) == 1 and other:
        raise DatasetFormatError(f"{file}, line 1: there is one column only: is its --delimiter {_OTHERS[other]!r}?")
    data = next(filter(_looks_like_data, names), None)
    if data is not None and not {*known} & {*names}:
        raise DatasetFormatError(
            f"{file}, line 1: {data!r} looks like data and not like the name of a column: if the file has no line of "
            "names, give them, for example --columns user,item,rating,time (of the users' file: --users-columns)"
        )
    for name in names:
        if names.count(name) > 1:
            raise DatasetFormatError(f"{file}, line 1: column {name!r} is listed twice")
    return names


def _looks_like_data(text: str) -> bool:
    return is_number(text) or dates.nanoseconds(text) is not None


def _rows(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of the last line and the fields of each row; empty lines are skipped."""
    reader = csv.reader(_lines(path, encoding), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise DatasetFormatError(f"{path.name}, line {reader.line_num}: {error}") from error


def _lines(path: Path, encoding: str) -> Iterator[str]:
    for block in files.lines(files.content(path), path.name, encoding):
        yield from (f"{line}\n" for line in block.decode().split("\n")[:-1])
