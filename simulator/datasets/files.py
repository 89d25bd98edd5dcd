"""Original files: plain or gzip, checked before they are read."""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from simulator.errors import DatasetDamagedError, DatasetFormatError, DatasetMissingError

Checksums = Mapping[str, str]
"""SHA-256 in hex of the unpacked content, by file name."""


def read(folder: Path, name: str, checksums: Checksums) -> bytes:
    """The unpacked content of `name` or `name.gz` in a folder.

    Raises:
        DatasetMissingError: neither is there.
        DatasetDamagedError: the gzip is cut off or corrupt, or the content is not the official one.
    """
    data = _unpacked(folder, name)
    expected = checksums.get(name)
    if expected is not None and (actual := hashlib.sha256(data).hexdigest()) != expected:
        raise DatasetDamagedError(
            f"{folder / name} is not the official file: its SHA-256 is {actual[:12]}..., expected {expected[:12]}...; "
            "fetch the data set again"
        )
    return data


def _unpacked(folder: Path, name: str) -> bytes:
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        return plain.read_bytes()
    if not packed.is_file():
        raise DatasetMissingError(f"there is neither {name} nor {name}.gz in {folder}")
    try:
        return gzip.decompress(packed.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetDamagedError(f"{packed} is cut off or corrupt ({error}); fetch it again") from error


def rows(data: bytes, name: str, separator: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Line numbers from 1 and fields of a separated text file in latin-1; empty lines are skipped.

    Raises:
        DatasetFormatError: a line has fewer than `columns` fields.
    """
    for number, line in enumerate(data.decode("latin-1").splitlines(), 1):
        if line:
            fields = line.split(separator)
            if len(fields) < columns:
                raise DatasetFormatError(f"{name}, line {number}: {len(fields)} fields where {columns} are expected")
            yield number, fields
