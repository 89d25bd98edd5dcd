"""The log of the operators' calls: lines of JSON. Each line holds the hash of the line before it.

So a line that was changed, removed or put in is found. Lines that were cut off at the end are not found by the log
itself: an operator who notes its head finds them too.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from coordinator.errors import OperationsError
from coordinator.store.disk import Disk
from fedau2.wire import blobs

START = "0" * 64
"""The hash before the first line."""

_PREVIOUS = "previous"


class OperationsLog:
    """An open log, which may be appended to from any thread. Opened by `open`."""

    def __init__(self, path: Path, size: int, head: str, disk: Disk) -> None:
        self._path, self._size, self._head, self._disk = path, size, head, disk
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None

    @classmethod
    def open(cls, path: Path, disk: Disk) -> Self:
        """Opens a log, which is made if it is not there. A last line that is not whole is cut off.

        Only a crash leaves such a line, and the call that it was for was not answered.

        Raises:
            OperationsError: it is damaged.
            OSError: it cannot be read or written.
        """
        if not path.exists():
            disk.write_file(path, b"")
        whole = _whole(path)
        heads = [START, *(head for _, head in _checked(whole, path))]
        return cls(path, len(whole), heads[-1], disk)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Appends an entry, which is durable on return.

        Raises:
            OSError: the disk is full or broken. The entry was not appended.
        """
        with self._lock:
            line = json.dumps({**entry, _PREVIOUS: self._head}, separators=(",", ":")).encode() + b"\n"
            file = self._file or self._opened()
            try:
                self._disk.write(file, line)
                self._disk.sync(file)
            except OSError:
                self.close()  # a part of the line may be there: it is cut off when the file is opened again
                raise
            self._size, self._head = self._size + len(line), _hash(line)

    def _opened(self) -> BinaryIO:
        file = self._path.open("r+b")
        try:
            file.truncate(self._size)
            file.seek(self._size)
        except OSError:
            file.close()
            raise
        self._file = file
        return file

    def close(self) -> None:
        """Closes the file."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # on a full disk it cannot write what is left in its buffer
                file.close()


def read(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields the entries of a log, oldest first, each with the hash of its line.

    Raises:
        OperationsError: it is damaged. The entries before the damage were yielded.
        OSError: it cannot be read.
    """
    yield from _checked(_whole(path), path)


def _whole(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def _checked(data: bytes, path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    head = START
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        entry = _parsed(line)
        if entry.pop(_PREVIOUS, None) != head:
            raise OperationsError(
                f"{path}: line {number} does not follow the line before it: somebody has changed, added or removed "
                "lines; keep the file as evidence, and move it away so that a new one can begin"
            )
        head = _hash(line)
        yield entry, head


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _hash(line: bytes) -> str:
    return blobs.sha256(line).hex()
