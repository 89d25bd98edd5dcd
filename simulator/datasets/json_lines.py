"""Reads tables of JSON lines: every line holds an object, whose keys name the columns."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from simulator.datasets import columns, files
from simulator.datasets.own_data import Table
from simulator.datasets.table import Block
from simulator.errors import DatasetFormatError

ROWS = 1 << 15
"""Rows of a block."""

_ENDINGS = (".json", ".jsonl", ".ndjson")
_LOOKED_AT = 1000
"""Lines whose keys are the columns."""

_Row = tuple[int, Mapping[str, Any]]
_TEXTS: Mapping[Any, str] = {None: "", True: "true", False: "false"}


def is_named(path: Path) -> bool:
    """Returns whether a file has the name of JSON lines, plain or .gz."""
    return path.name.removesuffix(".gz").endswith(_ENDINGS)


def table(path: Path, encoding: str) -> Table:
    """Opens a table, plain or .gz. Its columns are the keys of the first 1,000 lines.

    A field is the text of a string, the digits of a number as they stand, or empty for null and for a missing key.

    Args:
        path: the file.
        encoding: its encoding, as Python names it.

    Raises:
        DatasetError: the file is missing, damaged or empty, or a line is not an object.
    """
    header = {name: None for _, fields in islice(_rows(path, encoding), _LOOKED_AT) for name in fields}
    if not header:
        raise DatasetFormatError(f"{path.name} is empty; every line must hold a JSON object")

    def blocks(used: Collection[str]) -> Iterator[Block]:
        rows = _rows(path, encoding)
        while part := list(islice(rows, ROWS)):
            lines = np.array([line for line, _ in part], np.int64)
            yield Block(path.name, lines, {name: _column(path.name, name, part) for name in used})

    return Table(path.name, columns.untyped(header), blocks)


def _rows(path: Path, encoding: str) -> Iterator[_Row]:
    """Yields the number and the object of each line; empty lines are skipped."""
    number = 0
    for block in files.lines(files.content(path), path.name, encoding):
        for line in block.split(b"\n")[:-1]:
            number += 1
            if line.strip():
                yield number, _object(path.name, number, line)


def _object(file: str, number: int, line: bytes) -> Mapping[str, Any]:
    """Reads an object; its numbers stay texts, so that no digit is lost."""
    try:
        fields = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise DatasetFormatError(f"{file}, line {number}: the line is not a JSON object: {error}") from error
    if not isinstance(fields, dict):
        raise DatasetFormatError(f"{file}, line {number}: the line is JSON, but not an object such as {{...}}")
    return fields


def _column(file: str, name: str, rows: Sequence[_Row]) -> pa.Array:
    return pa.array([_text(file, number, name, fields.get(name)) for number, fields in rows], pa.binary())


def _text(file: str, line: int, name: str, value: object) -> bytes:
    if isinstance(value, list | dict):
        raise DatasetFormatError(f"{file}, line {line}: {name} is a list or an object, and not a text or a number")
    try:
        return (value if isinstance(value, str) else _TEXTS[value]).encode()
    except UnicodeEncodeError as error:
        raise DatasetFormatError(f"{file}, line {line}: {name} is a text that is not Unicode: {error}") from error
