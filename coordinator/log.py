"""The round's log: contributions as framed records in append-only segment files (design section 7).

A process writes only to segments that it made itself, so what a crash left torn is never written over. The ledger's row
is the truth: a record that no row points to does not exist.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from coordinator.blobs import sync_folder
from coordinator.errors import LogError
from fedau2.wire.blobs import sha256

_MAGIC = b"FEDAU2\x00\x01"
_HEADER = struct.Struct("<8sQ32s")
"""Magic, length of the payload, its SHA-256."""


@dataclass(frozen=True)
class Location:
    """Where a record lies: file name, offset of its header, length of its payload in bytes."""

    segment: str
    offset: int
    length: int


class RoundLog:
    """Segments of the open rounds, in one folder.

    Args:
        path: made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._open: dict[str, BinaryIO] = {}
        self._unsynced: set[str] = set()

    def append(self, owner: str, payload: bytes, digest: bytes) -> Location:
        """Writes a record; it is durable after `sync`.

        Args:
            owner: names the task and round, for `drop`.
            payload: any bytes.
            digest: their SHA-256.
        """
        file = self._open.get(owner) or self._segment(owner)
        location = Location(Path(file.name).name, file.tell(), len(payload))
        file.write(_HEADER.pack(_MAGIC, len(payload), digest))
        file.write(payload)
        self._unsynced.add(owner)
        return location

    def _segment(self, owner: str) -> BinaryIO:
        number = sum(1 for _ in self._path.glob(f"{owner}.*"))
        file = (self._path / f"{owner}.{number}").open("xb")
        sync_folder(self._path)
        self._open[owner] = file
        return file

    def sync(self) -> None:
        """Makes all records so far durable."""
        for owner in self._unsynced:
            self._open[owner].flush()
            os.fdatasync(self._open[owner].fileno())
        self._unsynced.clear()

    def read(self, location: Location, digest: bytes) -> bytes:
        """A record's payload.

        Raises:
            LogError: there is no such record with this hash.
        """
        try:
            with (self._path / location.segment).open("rb") as file:
                file.seek(location.offset)
                header = file.read(_HEADER.size)
                payload = file.read(location.length)
        except OSError as error:
            raise LogError(f"segment {location.segment} of the round's log cannot be read: {error}") from error
        if header != _HEADER.pack(_MAGIC, location.length, digest) or sha256(payload) != digest:
            raise LogError(
                f"the record at byte {location.offset} of segment {location.segment} of the round's log is damaged: "
                "restore the state folder from a copy"
            )
        return payload

    def drop(self, owner: str) -> None:
        """Removes the segments of a committed round."""
        if file := self._open.pop(owner, None):
            file.close()
        for path in self._path.glob(f"{owner}.*"):
            path.unlink()

    def keep_only(self, owners: set[str]) -> None:
        """Removes the segments of every other round."""
        for owner in {path.stem for path in self._path.iterdir()} - owners:
            self.drop(owner)

    def close(self) -> None:
        """Closes the files."""
        for file in self._open.values():
            file.close()
