"""Keeps the first bytes of a blob while the rest of it is fetched, also beyond the end of a sync or of the process."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from fedau2 import files
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError


class PartFile:
    """A blob on its way; an `interfaces.Download`. The file is removed when the blob is whole, or turns out wrong.

    The last bytes may be lost or damaged when the power fails. Therefore the whole blob is checked at its end.

    Args:
        path: of the file, which need not exist.
        expected: the address of the blob.
        guard: entered around each use of the file.
    """

    def __init__(self, path: Path, expected: Resource, guard: Callable[[], AbstractContextManager[None]]) -> None:
        self._path, self._expected, self._guard = path, expected, guard
        with guard():
            self._size = path.stat().st_size if path.exists() else 0

    @property
    def size(self) -> int:
        """Number of bytes that have come."""
        return self._size

    def add(self, data: bytes) -> None:
        """Appends the next bytes.

        Raises:
            BlobError: there are more bytes than declared.
        """
        with self._guard():
            if self._size + len(data) > self._expected.size:
                self._remove()
                raise BlobError(f"more bytes than the declared {self._expected.size}")
            try:
                with open(self._path, "ab", opener=_private) as file:
                    file.write(data)
            except OSError:
                self._remove()  # a full disk must not stay full of it
                raise
            self._size += len(data)

    def finish(self) -> bytes:
        """Returns the whole blob.

        Raises:
            BlobError: it is not the blob that was declared.
        """
        with self._guard():
            data = self._path.read_bytes() if self._size else b""
            self._remove()
        return blobs.check(data, self._expected)

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._size = 0


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, files.PRIVATE)
