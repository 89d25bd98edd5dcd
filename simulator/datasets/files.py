"""Reads original files, plain or gzip, and checks them against their checksums."""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from simulator.datasets.encodings import transcode
from simulator.errors import DatasetDamagedError, DatasetFormatError, DatasetMissingError

Checksums = Mapping[str, str]
"""SHA-256 in hex of the unpacked content, by file name; MD5 where only MD5 is published."""

BLOCK = 1 << 23
"""Bytes read at a time."""
LONGEST_LINE = 1 << 24


def is_official(blocks: Iterable[bytes], expected: str) -> bool:
    """Compares a content, given in blocks, with a checksum."""
    digest = hashlib.new("sha256" if len(expected) == 64 else "md5", usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest() == expected


def find(folder: Path, name: str) -> Path:
    """Finds `name` or `name.gz` in a folder.

    Raises:
        DatasetMissingError: neither file exists.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DatasetMissingError(f"{folder} holds neither {name} nor {name}.gz")


def chunks(folder: Path, name: str) -> Iterator[bytes]:
    """Yields the unpacked content of `name` or `name.gz`, piece by piece.

    Raises:
        DatasetMissingError: neither file exists.
        DatasetDamagedError: the file cannot be read, or the gzip is truncated or corrupt.
    """
    return content(find(folder, name))


def content(path: Path) -> Iterator[bytes]:
    """Yields the content of a file, unpacked if its name ends in .gz, piece by piece.

    Raises:
        DatasetMissingError: the file does not exist.
        DatasetDamagedError: the file cannot be read, or the gzip is truncated or corrupt.
    """
    if not path.exists():
        raise DatasetMissingError(f"there is no file {path}")
    with _explained(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while data := file.read(BLOCK):
            yield data


def exists(folder: Path, name: str) -> bool:
    """Returns whether a folder holds `name` or `name.gz`."""
    return any((folder / f"{name}{suffix}").is_file() for suffix in ("", ".gz"))


def blocks(folder: Path, name: str, encoding: str = "utf-8") -> Iterator[bytes]:
    """Yields the text of `name` or `name.gz` as `lines` does.

    Raises:
        DatasetMissingError: neither file exists.
        DatasetDamagedError: the file cannot be read, or the gzip is truncated or corrupt.
        DatasetFormatError: see `lines`.
    """
    return lines(chunks(folder, name), name, encoding)


def lines(pieces: Iterable[bytes], name: str, encoding: str) -> Iterator[bytes]:
    """Yields a text as UTF-8 in blocks of whole lines; the last line ends in a newline too.

    Raises:
        DatasetFormatError: a line is longer than `LONGEST_LINE`, or is not text in this encoding.
    """
    rest = b""
    for data in transcode(pieces, name, encoding):
        end = data.rfind(b"\n") + 1
        if end:
            yield rest + data[:end]
            rest = data[end:]
        else:
            rest += data
        if len(rest) > LONGEST_LINE:
            raise DatasetFormatError(
                f"{name} has a line of more than {LONGEST_LINE:,} bytes: it is not a table of this format"
            )
    if rest:
        yield rest + b"\n"


def read(folder: Path, name: str, checksums: Checksums) -> bytes:
    """Reads the unpacked content of `name` or `name.gz` in a folder.

    Raises:
        DatasetMissingError: neither file exists.
        DatasetDamagedError: the file cannot be read, the gzip is truncated or corrupt, or the checksum is wrong.
    """
    data = _unpacked(folder, name)
    expected = checksums.get(name)
    if expected is not None and (actual := hashlib.sha256(data).hexdigest()) != expected:
        raise DatasetDamagedError(
            f"{folder / name} is not the official file: its SHA-256 is {actual[:12]}..., expected {expected[:12]}...; "
            "remove it and download the data set again"
        )
    return data


def _unpacked(folder: Path, name: str) -> bytes:
    path = find(folder, name)
    with _explained(path):
        data = path.read_bytes()
        return data if path.name == name else gzip.decompress(data)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetDamagedError(f"{path} is truncated or corrupt ({error}); download it again") from error
    except OSError as error:
        raise DatasetDamagedError(f"{path} cannot be read: {error.strerror}") from error


def rows(data: bytes, name: str, separator: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Yields line number, from 1, and fields of each line of a separated text in latin-1; empty lines are skipped.

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
