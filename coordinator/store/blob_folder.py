"""Folders of content-addressed blobs."""

import hashlib
import os
import re
from collections.abc import Generator, Iterator, Set
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from coordinator.errors import BlobLostError
from coordinator.store.disk import REAL, Disk, patiently
from coordinator.store.shared_files import SharedFiles
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs

PIECE = 64 * 1024
"""Bytes of one streamed piece. A stream that a device does not read holds some five of them in memory."""

_NAME = re.compile(r"[0-9a-f]{64}(\.tmp)?")


class BlobFolder:
    """Blobs as files, named by their SHA-256 in hexadecimal digits. A blob survives a crash once `put` has returned.

    Args:
        path: an existing folder.
        disk: carries out the writes.
    """

    def __init__(self, path: Path, disk: Disk = REAL) -> None:
        self._path = path
        self._disk = disk
        self._shared = SharedFiles()

    def put(self, data: bytes) -> Resource:
        """Stores a blob durably. Storing it again changes nothing, or replaces a damaged file."""
        resource = blobs.resource(data)
        try:
            self.check(resource.sha256)
        except BlobLostError:
            self._disk.write_file(self.path(resource.sha256), data)
            self._shared.forget(self.path(resource.sha256))
        return resource

    def get(self, sha256: bytes) -> bytes:
        """Reads a blob, and checks it against its hash.

        Raises:
            BlobLostError: it is missing or damaged.
        """
        with self._opened(sha256) as file:
            data = file.read()
        self._expect(sha256, blobs.sha256(data))
        return data

    def check(self, sha256: bytes) -> None:
        """Returns if a blob is there and whole. It holds only a small part of it in memory.

        Raises:
            BlobLostError: it is missing or damaged.
        """
        with self._opened(sha256) as file:
            actual = hashlib.file_digest(file, "sha256").digest()
        self._expect(sha256, actual)

    @contextmanager
    def _opened(self, sha256: bytes) -> Iterator[BufferedReader]:
        try:
            with patiently(lambda: self.path(sha256).open("rb")) as file:
                yield file
        except OSError as error:
            raise BlobLostError(f"{self.path(sha256)} cannot be read: {error.strerror}") from error

    def _expect(self, sha256: bytes, actual: bytes) -> None:
        if actual != sha256:
            raise BlobLostError(f"{self.path(sha256)} is damaged: its SHA-256 is {actual.hex()[:12]}")

    def size(self, sha256: bytes) -> int:
        """Returns the length of a blob in bytes.

        Raises:
            FileNotFoundError: there is no such blob.
        """
        return self.path(sha256).stat().st_size

    def stream(self, sha256: bytes, offset: int) -> Generator[bytes, None, None]:
        """Reads a blob from an offset on, in pieces of `PIECE`, unchecked. It goes on if the blob is deleted meanwhile.

        All streams of a blob read one open file.

        Raises:
            FileNotFoundError: there is no such blob.
            OSError: it cannot be opened.
        """
        with self._shared.reading(self.path(sha256)) as descriptor:
            while piece := os.pread(descriptor, PIECE, offset):
                offset += len(piece)
                yield piece

    def delete(self, sha256: bytes) -> None:
        """Removes a blob. It is not an error if the blob is not there."""
        self._disk.delete(self.path(sha256))

    def orphans(self, hashes: Set[bytes]) -> list[Path]:
        """Lists the files of all other blobs, and temporary files that a crash left, but no foreign files."""
        names = {sha256.hex() for sha256 in hashes}
        return sorted(path for path in self._path.iterdir() if path.name not in names and _NAME.fullmatch(path.name))

    def path(self, sha256: bytes) -> Path:
        """Returns the file of a blob, whether it is there or not."""
        return self._path / sha256.hex()
