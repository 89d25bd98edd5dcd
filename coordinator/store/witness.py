"""The witness: a file outside the ledger that says which was its last committed transaction.

It is written after each commit and before anybody is answered, so that a ledger that has lost transactions is known
after the process was killed. It is synced with the commits of rounds only. After a power failure it may be older than
the ledger, and never newer. It holds two slots, written in turn, so that one write cannot damage both.
"""

import hashlib
from pathlib import Path
from typing import BinaryIO

from coordinator.errors import LedgerError
from coordinator.store.disk import Disk

_SLOT = 4096
"""Bytes from one slot to the other: no sector holds parts of both."""

_WIDTH = 20
"""Digits of a number. A space, 64 digits of its SHA-256 and a line feed follow."""


class Witness:
    """The witness of one ledger.

    Args:
        path: its file.
        disk: carries out the writes.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._file: BinaryIO | None = None

    def read(self) -> int | None:
        """Returns the number of the last transaction that is known to be committed; None: there is no witness yet.

        Raises:
            LedgerError: the witness is damaged.
        """
        if not self._path.exists():
            return None
        data = self._path.read_bytes()
        numbers = [_number(data[start:]) for start in (0, _SLOT)]
        known = [number for number in numbers if number is not None]
        if not known:
            raise LedgerError(
                f"the witness of the ledger, {self._path}, is damaged: restore the state folder from a copy, or accept "
                "the ledger as it is with `fedau2-coordinator doctor --accept-ledger`"
            )
        return max(known)

    def make(self, number: int) -> None:
        """Makes the file, durably, for a ledger whose last transaction has this number."""
        slot = _slot(number)
        self._disk.write_file(self._path, slot.ljust(_SLOT, b"\0") + slot)

    def remove(self) -> None:
        """Removes the file, durably."""
        self._disk.delete(self._path)
        self._disk.sync_folder(self._path.parent)

    def begin(self, number: int) -> None:
        """Opens the file for `note`, and makes it first unless it knows this number."""
        if self.read() != number:
            self.make(number)
        self._file = self._path.open("r+b", buffering=0)

    def note(self, number: int) -> None:
        """Writes the number of a transaction, without a sync."""
        if self._file is not None:
            self._disk.rewrite(self._file, number % 2 * _SLOT, _slot(number))

    def sync(self) -> None:
        """Makes what was noted survive a power failure."""
        if self._file is not None:
            self._disk.sync(self._file)

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _slot(number: int) -> bytes:
    digits = b"%0*d" % (_WIDTH, number)
    return digits + b" " + hashlib.sha256(digits).hexdigest().encode() + b"\n"


def _number(data: bytes) -> int | None:
    digits = data[:_WIDTH]
    return int(digits) if digits.isdigit() and data[: len(_slot(0))] == _slot(int(digits)) else None
