"""Checksums of the pages of a SQLite database, in a file beside it. SQLite has checksums in its write-ahead log only.

A page is written to the database only when the write-ahead log is emptied. The sums are written before that: then they
fit the pages that the log does not hold, and a page that it holds is read from there, whatever the database has.
"""

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import LedgerError
from coordinator.store import wal
from coordinator.store.disk import Disk

_HEADER = struct.Struct("<8sI")
"""Magic bytes, page size. The CRC-32 of each page and the SHA-256 of everything before it follow."""

_NONE = -1
"""In place of the sum of a page that is not there."""

_MAGIC = b"FEDAU2\x00\x03"
_LARGEST = 65536
"""A page size that SQLite writes as 1."""

_ADVICE = (
    "restore the ledger together with the state folder from a copy, or, if another program has opened it, accept it as "
    "it is with `fedau2-coordinator doctor --accept-ledger`"
)


class PageSums:
    """The sums of one database.

    Args:
        database: its file.
        disk: carries out the writes.
    """

    def __init__(self, database: Path, disk: Disk) -> None:
        self._database = database
        self._disk = disk
        self._page_size = 0
        self._sums = np.empty(0, np.int64)

    @property
    def path(self) -> Path:
        """The file of the sums."""
        return self._database.with_name(f"{self._database.name}-pages")

    @property
    def sealed(self) -> bool:
        """The database has sums."""
        return self.path.exists()

    def check(self) -> None:
        """Returns if every page is as it was when its sum was taken, or if the database has no sums yet.

        Nothing may have opened the database: to close its file would end SQLite's locks on it.

        Raises:
            LedgerError: a page, or the file of the sums, is damaged.
        """
        log = wal.read(self._database)
        if not self.sealed:
            self._take(log)
            return
        self._page_size, self._sums = self._read()
        expected, actual = _overlaid(self._sums, log), _overlaid(self._of_file(), log)
        size = max(len(expected), len(actual))
        expected, actual = _resized(expected, size), _resized(actual, size)
        damaged = np.flatnonzero((expected != actual) | (expected == _NONE))
        if len(damaged):
            raise LedgerError(
                f"the ledger is damaged: {len(damaged)} of the pages of {self._database.name}, the first of them page "
                f"{damaged[0] + 1}, are not as they were written; {_ADVICE}"
            )

    def accept(self) -> None:
        """Takes the pages as they are, whatever their sums say. Nothing may have opened the database."""
        self._take(wal.read(self._database))
        self.seal()

    def seal(self) -> None:
        """Writes the sums of all pages, those in the write-ahead log included, durably."""
        log = wal.read(self._database)
        self._page_size = self._page_size or log.page_size
        self._sums = _overlaid(self._sums, log)
        content = _HEADER.pack(_MAGIC, self._page_size) + self._sums.astype("<u4").tobytes()
        self._disk.write_file(self.path, content + hashlib.sha256(content).digest())

    def _take(self, log: wal.WriteAheadLog) -> None:
        with self._database.open("rb") as file:
            size = int.from_bytes(file.read(18)[16:], "big")
        self._page_size = log.page_size or (_LARGEST if size == 1 else size)
        self._sums = self._of_file()

    def _of_file(self) -> NDArray[np.int64]:
        if not self._page_size or not self._database.exists():
            return np.empty(0, np.int64)
        with self._database.open("rb") as file:
            pages = iter(lambda: file.read(self._page_size), b"")
            return np.fromiter((zlib.crc32(page) for page in pages), np.int64)

    def _read(self) -> tuple[int, NDArray[np.int64]]:
        data = self.path.read_bytes()
        content, digest = data[:-32], data[-32:]
        if len(content) < _HEADER.size or hashlib.sha256(content).digest() != digest:
            raise LedgerError(f"the checksums of the ledger's pages, {self.path.name}, are damaged; {_ADVICE}")
        _, page_size = _HEADER.unpack(content[: _HEADER.size])
        return page_size, np.frombuffer(content, "<u4", offset=_HEADER.size).astype(np.int64)


def _overlaid(sums: NDArray[np.int64], log: wal.WriteAheadLog) -> NDArray[np.int64]:
    """The sums of the pages as SQLite reads them: from the log if it holds them."""
    result = _resized(sums, log.size or len(sums))
    for page, checksum in log.sums.items():
        if page <= len(result):
            result[page - 1] = checksum
    return result


def _resized(sums: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.pad(sums[:size], (0, max(0, size - len(sums))), constant_values=_NONE)
