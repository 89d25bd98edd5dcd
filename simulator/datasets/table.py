"""Reads large separated text files in bounded memory: in blocks, by pyarrow, each row with its line number."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from simulator.config.own_files import NUMBER
from simulator.datasets import files
from simulator.errors import DatasetFormatError

WHOLE = r"^[0-9]{1,18}$"
"""Pattern of a whole number that fits an int64."""
DECIMAL = f"^{NUMBER}$"


@dataclass(frozen=True, eq=False)
class Block:
    """Some consecutive rows of a file.

    Attributes:
        name: the file's name.
        lines: line number of each row, from 1, int64 (rows,).
        columns: the columns by name, as UTF-8.
        malformed: line numbers of the lines of the block that have a wrong number of fields, text within a separator,
            or a carriage return that does not end them. Empty lines do not count.
        unit: the word for a row in errors.
        bits: for each column of floats with fewer than 53 bits, their number: whole numbers up to 2**bits are exact.
    """

    name: str
    lines: NDArray[np.int64]
    columns: dict[str, pa.Array]
    malformed: list[int] = field(default_factory=list)
    unit: str = "line"
    bits: Mapping[str, int] = field(default_factory=dict)

    def select(self, rows: NDArray[np.bool_]) -> "Block":
        """Selects some rows."""
        columns = {name: column.filter(pa.array(rows)) for name, column in self.columns.items()}
        return replace(self, lines=self.lines[rows], columns=columns)

    def where(self, good: NDArray[np.bool_]) -> "Block":
        """Selects the good rows; the others count as malformed."""
        return replace(self.select(good), malformed=sorted([*self.malformed, *self.lines[~good].tolist()]))

    def matches(self, column: str, pattern: str) -> NDArray[np.bool_]:
        """Marks the rows whose field matches a regular expression."""
        return np.asarray(pc.match_substring_regex(self.columns[column], pattern))

    def integers(self, column: str) -> NDArray[np.int64]:
        """Converts a column of whole numbers.

        Raises:
            DatasetFormatError: a field is not a whole number of at most 18 digits.
        """
        self.expect(column, WHOLE, "a whole number")
        return np.asarray(self.columns[column].cast(pa.string()).cast(pa.int64()))

    def decimals(self, column: str) -> NDArray[np.float64]:
        """Converts a column of numbers.

        Raises:
            DatasetFormatError: a field is not a number.
        """
        self.expect(column, DECIMAL, "a number")
        return np.asarray(self.columns[column].cast(pa.string()).cast(pa.float64()))

    def expect(self, column: str, pattern: str, form: str) -> None:
        """Checks that every field of a column matches a regular expression.

        Args:
            column: the column.
            pattern: the expression.
            form: its meaning, for the error: "a number".

        Raises:
            DatasetFormatError: a field does not match.
        """
        self.refuse(~self.matches(column, pattern), column, f"is not {form}")

    def refuse(self, bad: NDArray[np.bool_], column: str, problem: str) -> None:
        """Raises an error on the first bad row, if there is one.

        Args:
            bad: true for each row that is refused, bool (rows,).
            column: the column at fault.
            problem: the fault of its field: "is not a number".

        Raises:
            DatasetFormatError: a row is bad.
        """
        if bad.any():
            row = int(np.argmax(bad))
            raise self.error(row, f"{column} {self.text(column, row)!r} {problem}")

    def expect_filled(self, column: str) -> None:
        """Checks that every field of a column has more than spaces.

        Raises:
            DatasetFormatError: a field has not.
        """
        empty = np.flatnonzero(~self.matches(column, r"\S"))
        if empty.size:
            raise self.error(int(empty[0]), f"the {column} is empty")

    def text(self, column: str, row: int) -> str:
        """Decodes the field of a row."""
        return str(self.columns[column][row].as_py().decode())

    def error(self, row: int, problem: str) -> DatasetFormatError:
        """Makes the error for a problem in a row, which names file and line."""
        return DatasetFormatError(f"{self.name}, {self.unit} {self.lines[row]}: {problem}")

    def expect_well_formed(self) -> None:
        """Checks that the block has no malformed lines.

        Raises:
            DatasetFormatError: a line is malformed.
        """
        if self.malformed:
            problem = "the number of fields is wrong, or a carriage return stands between them"
            raise DatasetFormatError(f"{self.name}, line {self.malformed[0]}: {problem}")


def read(
    folder: Path,
    name: str,
    columns: Sequence[str],
    separator: str,
    *,
    encoding: str = "utf-8",
    header: bool = False,
) -> Iterator[Block]:
    """Yields the blocks of `name` or `name.gz` in a folder.

    Args:
        folder: the folder that holds the file.
        name: the file's name.
        columns: a name for each field; empty to skip the field.
        separator: the text between two fields: a character, which may be repeated.
        encoding: the file's encoding.
        header: true to skip the first line.

    Raises:
        DatasetMissingError: the file does not exist.
        DatasetDamagedError: the file cannot be read.
        DatasetFormatError: the bytes are not text in this encoding.
    """
    padding = [""] * (len(separator) - 1)
    names = [part for column in columns[:-1] for part in (column, *padding)] + [columns[-1]]
    start = 1
    for data in files.blocks(folder, name, encoding):
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
    data = data.replace(b"\r\n", b"\n")
    broken = [number for number, line in enumerate(data.split(b"\n"), start) if b"\r" in line] if b"\r" in data else []
    data = data.replace(b"\r", b" ")
    if not data.strip(b"\n"):
        return Block(name, np.empty(0, np.int64), {column: pa.array([], pa.binary()) for column in used}, [])
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
    parted = ~np.isin(block.lines, broken)
    for column in padding:
        parted &= np.asarray(pc.equal(table[column], b""))
    return block if parted.all() else block.where(parted)


def _numbers(data: bytes) -> NDArray[np.int64]:
    """Numbers the lines that are not empty, from 0; pyarrow does not count empty lines."""
    if b"\n\n" not in data and not data.startswith(b"\n"):
        return np.arange(data.count(b"\n"))
    return np.flatnonzero([bool(line) for line in data.split(b"\n")])
