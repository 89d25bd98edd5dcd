"""Blobs as files named by their hash: written whole or not at all, checked when read."""

from collections.abc import Container
from pathlib import Path

from fedau2 import files
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError


class BlobCache:
    """A folder of blobs. Its methods raise `OSError` where the disk does not do its work.

    Args:
        folder: made if it is not there, for its owner's eyes only.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder

    def get(self, resource: Resource) -> bytes | None:
        """The blob; None where it is not there, or was damaged and has now been removed."""
        path = self._folder / resource.sha256.hex()
        if not path.is_file():
            return None
        try:
            return blobs.check(path.read_bytes(), resource)
        except BlobError:
            path.unlink()
            return None

    def put(self, resource: Resource, data: bytes) -> None:
        """Keeps a blob that has been checked; it is durable on return."""
        files.write(self._folder / resource.sha256.hex(), data, files.PRIVATE)

    def keep_only(self, hashes: Container[str]) -> None:
        """Removes every file that is not named by one of these hexadecimal hashes."""
        for path in self._folder.iterdir():
            if path.name not in hashes:
                path.unlink()
