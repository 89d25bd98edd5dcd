"""Large separated text files in bounded memory: block by block through pyarrow, every row with its line number."""

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
"""A whole number that fits an int64."""
DECIMAL = r"^-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,2})?$"


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive rows of a file.

    Attributes:
        name: of the file.
        lines: line number of each row, from 1, int64 (rows,).
        columns: by name, bytes; what is not UTF-8 in the file became U+FFFD.
        malformed: line numbers of the lines between the rows whose number of fields is wrong, or that have text
            within a separator; empty lines are not.
    """

    name: str
    lines: NDArray[np.int64]
    columns: dict[str, pa.Array]
    malformed: list[int]

    def where(self, good: NDArray[np.bool_]) -> "Block":
        """The rows that are good; the others become malformed."""
        columns = {name: column.filter(pa.array(good)) for name, column in self.columns.items()}
        malformed = sorted([*self.malformed, *self.lines[~good].tolist()])
        return Block(self.name, self.lines[good], columns, malformed)

    def matches(self, column: str, pattern: str) -> NDArray[np.bool_]:
        """Which rows' field matches a regular expression."""
        return np.asarray(pc.match_substring_regex(self.columns[column], pattern))

    def numbers(self, column: str, pattern: str = WHOLE) -> NDArray[np.float64]:
        """A column of numbers.

        Raises:
            DatasetFormatError: a field is none.
        """
        bad = np.flatnonzero(~self.matches(column, pattern))
        if bad.size:
            raise self.error(int(bad[0]), f"{column} {self.text(column, int(bad[0]))!r} is no number")
        return np.asarray(self.columns[column].cast(pa.string()).cast(pa.float64()))

    def text(self, column: str, row: int) -> str:
        """One field."""
        return str(self.columns[column][row].as_py().decode("utf-8", "replace"))

    def error(self, row: int, what: str) -> DatasetFormatError:
        """What is wrong with a row, and where it is."""
        return DatasetFormatError(f"{self.name}, line {self.lines[row]}: {what}")

    def insist(self) -> None:
        """Refuses malformed lines.

        Raises:
            DatasetFormatError: there is one.
        """
        if self.malformed:
            raise DatasetFormatError(f"{self.name}, line {self.malformed[0]}: not the number of fields expected")


def read(folder: Path, name: str, columns: Sequence[str], separator: str, *, header: bool = False) -> Iterator[Block]:
    """The blocks of `name` or `name.gz` in a folder.

    Args:
        folder: holds the file.
        name: of the file.
        columns: one name per field; empty: not wanted.
        separator: between fields; of one character, or of the same one several times.
        header: skip the first line.

    Raises:
        DatasetMissingError: it is not there.
        DatasetDamagedError: it cannot be read.
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

    wanted = [column for column in names if column]
    # pyarrow also ends lines at a lone carriage return; no format read here does.
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b" ")
    if not data.strip(b"\n"):
        return Block(name, np.empty(0, np.int64), {column: pa.array([], pa.binary()) for column in wanted}, [])
    # A malformed line reaches the handler as text: one that is not UTF-8 would stop pyarrow.
    data = _utf8(data)
    unique = [column or f" {number}" for number, column in enumerate(names)]
    padding = [column for number, column in enumerate(unique) if number % len(separator)]
    table = csv.read_csv(
        pa.BufferReader(data),
        csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=unique),
        csv.ParseOptions(delimiter=separator[0], quote_char=False, invalid_row_handler=invalid),
        csv.ConvertOptions(
            include_columns=[*wanted, *padding],
            column_types=dict.fromkeys([*wanted, *padding], pa.binary()),
            strings_can_be_null=False,
        ),
    )
    numbers = _numbers(data) + start
    columns = {column: table[column].combine_chunks() for column in wanted}
    block = Block(name, np.delete(numbers, wrong), columns, numbers[wrong].tolist())
    parted = np.ones(len(block.lines), np.bool_)
    for column in padding:
        parted &= np.asarray(pc.equal(table[column], b""))
    return block if parted.all() else block.where(parted)


def _numbers(data: bytes) -> NDArray[np.int64]:
    """Line number of each line that is not empty, from 0; pyarrow does not count the others."""
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
    """Numbers ids in order of their first appearance."""

    def __init__(self, known: Sequence[bytes] = ()) -> None:
        self._numbers = {each: number for number, each in enumerate(known)}

    def __len__(self) -> int:
        return len(self._numbers)

    def find(self, column: pa.Array) -> NDArray[np.int32]:
        """The number of each id, int32 (rows,); -1 where it has none."""
        return self._encode(column, lambda each: self._numbers.get(each, -1))

    def add(self, column: pa.Array) -> NDArray[np.int32]:
        """The number of each id, int32 (rows,); new ones get one."""
        return self._encode(column, lambda each: self._numbers.setdefault(each, len(self._numbers)))

    def add_once(self, block: Block, column: str) -> None:
        """As `add`, for a column in which no id may come back.

        Raises:
            DatasetFormatError: one does.
        """
        before = len(self)
        rows = self.add(block.columns[column])
        again = np.flatnonzero(rows != np.arange(before, before + len(rows)))
        if again.size:
            raise block.error(int(again[0]), f"{column} {block.text(column, int(again[0]))!r} is listed twice")

    def texts(self) -> list[str]:
        """The ids, by number."""
        return [each.decode("utf-8", "replace") for each in self._numbers]

    @staticmethod
    def _encode(column: pa.Array, number: Callable[[bytes], int]) -> NDArray[np.int32]:
        encoded = column.dictionary_encode()
        numbers = np.array([number(each) for each in encoded.dictionary.to_pylist()], np.int32)
        rows: NDArray[np.int32] = numbers[np.asarray(encoded.indices)]
        return rows
