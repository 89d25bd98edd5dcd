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
        DatasetDamagedError: it cannot be read, the gzip is cut off or corrupt, or the content is not the official one.
    """
    data = _unpacked(folder, name)
    expected = checksums.get(name)
    if expected is not None and (actual := hashlib.sha256(data).hexdigest()) != expected:
        raise DatasetDamagedError(
            f"{folder / name} is not the official file: its SHA-256 is {actual[:12]}..., expected {expected[:12]}...; "
            "remove it and fetch the data set again"
        )
    return data


def _unpacked(folder: Path, name: str) -> bytes:
    plain, packed = folder / name, folder / f"{name}.gz"
    found = next((path for path in (plain, packed) if path.is_file()), None)
    if found is None:
        raise DatasetMissingError(f"there is neither {name} nor {name}.gz in {folder}")
    try:
        data = found.read_bytes()
        return data if found == plain else gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetDamagedError(f"{found} is cut off or corrupt ({error}); fetch it again") from error
    except OSError as error:
        raise DatasetDamagedError(f"{found} cannot be read: {error.strerror}") from error


def rows(data: bytes, name: str, separator: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Line numbers from 1 and fields of a separated text file in latin-1; empty lines are skipped.

    Raises:
        DatasetFormatError: a line has fewer than `columns` fields.
    """
    # Not splitlines: in latin-1 it also breaks lines at characters that may be part of a title.
    for number, line in enumerate(data.decode("latin-1").split("\n"), 1):
        if line.rstrip("\r"):
            fields = line.rstrip("\r").split(separator)
            if len(fields) < columns:
                raise DatasetFormatError(f"{name}, line {number}: {len(fields)} fields where {columns} are expected")
            yield number, fields
