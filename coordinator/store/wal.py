"""The pages in a SQLite write-ahead log, read without SQLite (https://sqlite.org/fileformat2.html#walformat)."""

import functools
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordinator.store.disk import patiently

_HEADER = struct.Struct(">8I")  # magic number, version, page size, sequence, salts, checksum
_FRAME = struct.Struct(">6I")  # page, pages of the database after a commit (else 0), salts, checksum
_WORDS = {0x377F0682: "<u4", 0x377F0683: ">u4"}
"""Type of the words that a checksum adds up, by magic number."""

_MASK = 2**32 - 1

Checksum = tuple[int, int]


@dataclass(frozen=True)
class WriteAheadLog:
    """The committed contents of a log.

    Attributes:
        sums: CRC-32 of the newest version of each page, by the page's number, from 1.
        size: pages of the database after the last commit; 0: nothing was committed.
        page_size: in bytes; 0: there is no log.
    """

    sums: dict[int, int]
    size: int
    page_size: int


def path_of(database: Path) -> Path:
    """Returns the path of the log that belongs to a database."""
    return database.with_name(f"{database.name}-wal")


def read(database: Path) -> WriteAheadLog:
    """Reads a database's log up to its last whole commit, as SQLite does after a crash.

    SQLite takes the first frame with a wrong checksum for the end of the log. So damage shortens the log; it never
    changes a page.
    """
    path = path_of(database)
    data = patiently(path.read_bytes) if path.exists() else b""
    header = data[: _HEADER.size]
    magic, _, page_size, _, *salts, first, second = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
    if magic not in _WORDS or _add((0, 0), header[:24], _WORDS[magic]) != (first, second):
        return WriteAheadLog({}, 0, 0)
    width = _FRAME.size + page_size
    count = (len(data) - _HEADER.size) // width
    frames = np.frombuffer(data, np.uint8, count * width, _HEADER.size).reshape(count, width)
    pages, sizes = _committed(frames, salts, (first, second), _WORDS[magic])
    newest = {page: number for number, page in enumerate(pages)}
    sums = {page: zlib.crc32(frames[number, _FRAME.size :].tobytes()) for page, number in newest.items()}
    return WriteAheadLog(sums, sizes[-1] if sizes else 0, page_size)


def _committed(
    frames: NDArray[np.uint8], salts: list[int], checksum: Checksum, words: str
) -> tuple[list[int], list[int]]:
    """Page numbers and sizes of the frames up to the last whole commit."""
    covered = np.concatenate([frames[:, :8], frames[:, _FRAME.size :]], axis=1)
    values = covered.view(words).astype(np.uint32)
    step, factors = _powers(values.shape[1] // 2)
    pages, sizes, last = list[int](), list[int](), 0
    for frame, added in zip(frames, (values @ factors).tolist(), strict=True):
        page, size, *of_frame, written_first, written_second = _FRAME.unpack(frame[: _FRAME.size].tobytes())
        checksum = _moved(step, checksum, added)
        if of_frame != salts or checksum != (written_first, written_second):
            break
        pages.append(page)
        sizes.append(size)
        last = len(pages) if size else last
    return pages[:last], sizes[:last]


# SQLite adds a pair of words (x, y) to the checksum (s, t) by s += x + t, then t += y + s, modulo 2^32. That is linear:
# a frame moves the checksum by a fixed matrix and adds a sum over its words, which numpy computes for all frames.


@functools.cache
def _powers(pairs: int) -> tuple[tuple[int, int, int, int], NDArray[np.uint32]]:
    """The matrix by which so many pairs of words move a checksum, and the factor of each word in both parts of it."""
    a, b, c, d = 1, 0, 0, 1
    factors = np.empty((2 * pairs, 2), np.uint32)
    for pair in reversed(range(pairs)):
        factors[2 * pair] = (a + b) & _MASK, (c + d) & _MASK
        factors[2 * pair + 1] = b, d
        a, b, c, d = (a + b) & _MASK, (a + 2 * b) & _MASK, (c + d) & _MASK, (c + 2 * d) & _MASK
    return (a, b, c, d), factors


def _moved(matrix: tuple[int, int, int, int], checksum: Checksum, added: list[int]) -> Checksum:
    a, b, c, d = matrix
    first, second = checksum
    return (a * first + b * second + added[0]) & _MASK, (c * first + d * second + added[1]) & _MASK


def _add(checksum: Checksum, data: bytes, words: str) -> Checksum:
    first, second = checksum
    for x, y in np.frombuffer(data, words).reshape(-1, 2).tolist():
        first = (first + x + second) & _MASK
        second = (second + y + first) & _MASK
    return first, second
