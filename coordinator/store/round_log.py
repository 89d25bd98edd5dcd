"""The round's log: contributions as framed records in append-only segment files (design section 7).

A process writes only to segments that it made itself, so a record that a crash tore is never written over. The ledger's
row is the truth: a record that no row points to does not exist.
"""

import re
import struct
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from coordinator.errors import LogError
from coordinator.store.disk import REAL, Disk, patiently
from fedau2.wire.blobs import sha256

_MAGIC = b"FEDAU2\x00\x01"
_HEADER = struct.Struct("<8sQ32s")
"""Magic bytes, length of the payload, SHA-256 of the payload."""

_ADVICE = (
    "restore the state folder from a copy, or give up what cannot be read with "
    "`fedau2-coordinator doctor --drop-damaged`"
)

_NAME = re.compile(r".+-\d+\.\d+")


@dataclass(frozen=True)
class Location:
    """Location of a record: file name, offset of its header, length of its payload in bytes."""

    segment: str
    offset: int
    length: int


def owner(task_id: str, number: int) -> str:
    """Names a task's round as the owner of its segments."""
    return f"{task_id}-{number}"


class Segment(NamedTuple):
    """A segment in the folder, and the task and round that it belongs to."""

    path: Path
    task_id: str
    round: int


class _OpenSegment(NamedTuple):
    name: str
    file: BinaryIO


class RoundLog:
    """Segments of the open rounds, in one folder.

    Args:
        path: an existing folder.
        disk: carries out the writes.
    """

    def __init__(self, path: Path, disk: Disk = REAL) -> None:
        self._path = path
        self._disk = disk
        self._open: dict[str, _OpenSegment] = {}
        self._unsynced: set[str] = set()

    def append(self, owner: str, payload: bytes, digest: bytes) -> Location:
        """Writes a record. It is durable after `sync`.

        Args:
            owner: names the task and round, as `owner` writes it.
            payload: the bytes of the record.
            digest: SHA-256 of the payload.
        """
        segment = self._open.get(owner) or self._segment(owner)
        file = segment.file
        location = Location(segment.name, file.tell(), len(payload))
        self._disk.write(file, _HEADER.pack(_MAGIC, len(payload), digest) + payload)
        self._unsynced.add(owner)
        return location

    def _segment(self, owner: str) -> _OpenSegment:
        taken = [int(path.suffix[1:]) for path in self._paths() if path.stem == owner]
        name = f"{owner}.{max(taken, default=-1) + 1}"
        segment = self._open[owner] = _OpenSegment(name, self._disk.create(self._path / name))
        self._disk.sync_folder(self._path)
        return segment

    def segments(self) -> list[Segment]:
        """Lists the segments of all rounds. Files that no log can have made are not among them."""
        found = []
        for path in self._paths():
            task_id, _, number = path.stem.rpartition("-")
            found.append(Segment(path, task_id, int(number)))
        return found

    def _paths(self) -> list[Path]:
        return sorted(path for path in patiently(lambda: list(self._path.iterdir())) if _NAME.fullmatch(path.name))

    def sync(self) -> None:
        """Makes all records written so far durable."""
        for owner in self._unsynced:
            self._disk.sync(self._open[owner].file)
        self._unsynced.clear()

    def read(self, location: Location, digest: bytes) -> bytes:
        """Reads the payload of a record.

        Raises:
            LogError: there is no such record with this hash.
        """
        try:
            with (self._path / location.segment).open("rb") as file:
                file.seek(location.offset)
                header = file.read(_HEADER.size)
                payload = file.read(location.length)
        except OSError as error:
            raise LogError(
                f"segment {location.segment} of the round's log cannot be read: {error}; {_ADVICE}"
            ) from error
        if header != _HEADER.pack(_MAGIC, location.length, digest) or sha256(payload) != digest:
            raise LogError(
                f"the record at byte {location.offset} of segment {location.segment} of the round's log is damaged: "
                f"{_ADVICE}"
            )
        return payload

    def drop(self, owner: str) -> None:
        """Removes the segments of a round."""
        if segment := self._open.pop(owner, None):
            segment.file.close()
        for path in self._paths():
            if path.stem == owner:
                self._disk.delete(path)

    def orphans(self, owners: Set[str]) -> list[Path]:
        """Lists the segments of every other round. Files that no log can have made are not among them."""
        return [path for path in self._paths() if path.stem not in owners]

    def close(self) -> None:
        """Closes the files."""
        for segment in self._open.values():
            # A disk that was full still is. Bytes that were not synced have never been acknowledged.
            with suppress(OSError):
                segment.file.close()
