"""Folders of content-addressed blobs."""

import os
from collections.abc import Iterator
from pathlib import Path

from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs


class BlobFolder:
    """Blobs as files, each named by its SHA-256 in hex. What `put` returned survives a crash.

    Args:
        path: made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path
        for left_over in path.glob("*.tmp"):
            left_over.unlink()

    def put(self, data: bytes) -> Resource:
        """Stores a blob durably; storing it again changes nothing."""
        resource = blobs.resource(data)
        target = self._file(resource.sha256)
        if not target.exists():
            temporary = target.with_suffix(".tmp")
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(target)
            sync_folder(self._path)
        return resource

    def get(self, sha256: bytes) -> bytes:
        """A blob, checked against its hash.

        Raises:
            FileNotFoundError: there is none.
            BlobError: the file is damaged.
        """
        data = self._file(sha256).read_bytes()
        return blobs.check(data, Resource(sha256=sha256, size=len(data)))

    def size(self, sha256: bytes) -> int:
        """Length in bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        return self._file(sha256).stat().st_size

    def stream(self, sha256: bytes, offset: int) -> Iterator[bytes]:
        """A blob from offset on in pieces of `CHUNK`, unchecked; goes on to its end even if it is deleted meanwhile.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._file(sha256).open("rb") as file:
            file.seek(offset)
            while piece := file.read(blobs.CHUNK):
                yield piece

    def delete(self, sha256: bytes) -> None:
        """Removes a blob; one that is not there is fine."""
        self._file(sha256).unlink(missing_ok=True)

    def keep_only(self, hashes: set[bytes]) -> None:
        """Removes every other blob."""
        for path in self._path.iterdir():
            if path.name not in {sha256.hex() for sha256 in hashes}:
                path.unlink()

    def _file(self, sha256: bytes) -> Path:
        return self._path / sha256.hex()


def sync_folder(path: Path) -> None:
    """Makes new and renamed files of a folder survive a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
