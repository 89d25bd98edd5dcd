"""Reads large separated text files in bounded memory: in blocks, by pyarrow, each row with its line number."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from simulator.datasets import files
from simulator.errors import DatasetFormatError

WHOLE = r"^[0-9]{1,18}$"
"""Pattern of a whole number that fits an int64."""
DECIMAL = r"^-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?$"


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive rows of a file.

    Attributes:
        name: the file's name.
        lines: line number of each row, from 1, int64 (rows,).
        columns: the columns by name, as bytes; invalid UTF-8 is replaced by U+FFFD.
        malformed: line numbers of the lines of the block that have a wrong number of fields, or text within a
            separator. Empty lines do not count.
    """

    name: str
    lines: NDArray[np.int64]
    columns: dict[str, pa.Array]
    malformed: list[int]

    def where(self, good: NDArray[np.bool_]) -> "Block":
        """Selects the good rows; the others count as malformed."""
        columns = {name: column.filter(pa.array(good)) for name, column in self.columns.items()}
        malformed = sorted([*self.malformed, *self.lines[~good].tolist()])
        return Block(self.name, self.lines[good], columns, malformed)

    def matches(self, column: str, pattern: str) -> NDArray[np.bool_]:
        """Marks the rows whose field matches a regular expression."""
        return np.asarray(pc.match_substring_regex(self.columns[column], pattern))

    def numbers(self, column: str, pattern: str = WHOLE) -> NDArray[np.float64]:
        """Converts a column to numbers.

        Raises:
            DatasetFormatError: a field is not a number.
        """
        bad = np.flatnonzero(~self.matches(column, pattern))
        if bad.size:
            raise self.error(int(bad[0]), f"{column} {self.text(column, int(bad[0]))!r} is not a number")
        return np.asarray(self.columns[column].cast(pa.string()).cast(pa.float64()))

    def text(self, column: str, row: int) -> str:
        """Decodes the field of a row."""
        return str(self.columns[column][row].as_py().decode("utf-8", "replace"))

    def error(self, row: int, problem: str) -> DatasetFormatError:
        """Makes the error for a problem in a row, which names file and line."""
        return DatasetFormatError(f"{self.name}, line {self.lines[row]}: {problem}")

    def expect_well_formed(self) -> None:
        """Checks that the block has no malformed lines.

        Raises:
            DatasetFormatError: a line is malformed.
        """
        if self.malformed:
            raise DatasetFormatError(f"{self.name}, line {self.malformed[0]}: the number of fields is wrong")


def read(folder: Path, name: str, columns: Sequence[str], separator: str, *, header: bool = False) -> Iterator[Block]:
    """Yields the blocks of `name` or `name.gz` in a folder.

    Args:
        folder: the folder that holds the file.
        name: the file's name.
        columns: a name for each field; empty to skip the field.
        separator: the text between two fields: a character, which may be repeated.
        header: true to skip the first line.

    Raises:
        DatasetMissingError: the file does not exist.
        DatasetDamagedError: the file cannot be read.
    """
    padding = [""] * (len(separator) - 1)
    names = [part for column in columns[:-1] for part in (column, *padding)] + [columns[-1]]
    start = 1
    for data in files.blocks(folder, name):
        skipped = data.index(b"\n") + 1 if header and start == 1 else 0
        block = _parse(name, data[skipped:], names, separator, start + (skipped > 0))
        start += data.count(b"\n")
        yield block


def _parse(name: str, data: bytes, names: Sequence[str], separator: str, start: int) -> Block:
    wrong: list[int] = []

    def invalid(row: csv.InvalidRow) -> str:
        wrong.append(row.number - 1)
        return "skip"

    used = [column for column in names if column]
    # pyarrow also ends a line at a lone carriage return, which none of the formats does.
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    if not data.strip(b"\n"):
        return Block(name, np.empty(0, np.int64), {column: pa.array([], pa.binary()) for column in used}, [])
    # pyarrow passes a malformed line to the handler as text, and stops if the line is not UTF-8.
    data = _utf8(data)
    unique = [column or f" {number}" for number, column in enumerate(names)]
    padding = [column for number, column in enumerate(unique) if number % len(separator)]
    table = csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=unique),
        csv.ParseOptions(delimiter=separator[0], quote_char=False, invalid_row_handler=invalid),
        csv.ConvertOptions(
            include_columns=[*used, *padding],
            column_types=dict.fromkeys([*used, *padding], pa.binary()),
            strings_can_be_null=False,
        ),
    )
    numbers = _numbers(data) + start
    columns = {column: table[column].combine_chunks() for column in used}
    block = Block(name, np.delete(numbers, wrong), columns, numbers[wrong].tolist())
    parted = np.ones(len(block.lines), np.bool_)
    for column in padding:
        parted &= np.asarray(pc.equal(table[column], b""))
    return block if parted.all() else block.where(parted)


def _numbers(data: bytes) -> NDArray[np.int64]:
    """Numbers the lines that are not empty, from 0; pyarrow does not count empty lines."""
    if b"\n\n" not in data and not data.startswith(b"\n"):
        return np.arange(data.count(b"\n"))
    return np.flatnonzero([bool(line) for line in data.split(b"\n")])


def _utf8(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return data


class Ids:
    """Numbers ids in the order in which they first appear."""

    def __init__(self, known: Sequence[bytes] = ()) -> None:
        self._numbers = {identifier: number for number, identifier in enumerate(known)}

    def __len__(self) -> int:
        return len(self._numbers)

    def find(self, column: pa.Array) -> NDArray[np.int32]:
        """Looks up the number of each id, int32 (rows,); -1 for an unknown id."""
        return self._encode(column, lambda identifier: self._numbers.get(identifier, -1))

    def add(self, column: pa.Array) -> NDArray[np.int32]:
        """Looks up the number of each id, int32 (rows,); a new id gets the next number."""
        return self._encode(column, lambda identifier: self._numbers.setdefault(identifier, len(self._numbers)))

    def add_once(self, block: Block, column: str) -> None:
        """Does the same as `add`, for a column in which an id may appear once only.

        Raises:
            DatasetFormatError: an id appears again.
        """
        before = len(self)
        rows = self.add(block.columns[column])
        again = np.flatnonzero(rows != np.arange(before, before + len(rows)))
        if again.size:
            raise block.error(int(again[0]), f"{column} {block.text(column, int(again[0]))!r} is listed twice")

    def texts(self) -> list[str]:
        """Lists the ids in order of their numbers."""
        return [identifier.decode("utf-8", "replace") for identifier in self._numbers]

    @staticmethod
    def _encode(column: pa.Array, number: Callable[[bytes], int]) -> NDArray[np.int32]:
        encoded = column.dictionary_encode()
        numbers = np.array([number(identifier) for identifier in encoded.dictionary.to_pylist()], np.int32)
        rows: NDArray[np.int32] = numbers[np.asarray(encoded.indices)]
        return rows
