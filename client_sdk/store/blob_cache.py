"""Caches blobs as files named by their hash, written whole or not at all and checked when read."""

import re
from collections.abc import Container
from pathlib import Path

from fedau2 import files
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs
from fedau2.wire.errors import BlobError

_NAME = re.compile(r"[0-9a-f]{64}(\.tmp)?")
"""Names of blobs, and of those that a crash left half written."""


class BlobCache:
    """A folder of blobs. Its methods raise `OSError` if the disk fails.

    Args:
        folder: made if it does not exist, with permissions for its owner only.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder

    def get(self, resource: Resource) -> bytes | None:
        """Returns a blob. None: it is missing, or was damaged and has been removed."""
        path = self._folder / resource.sha256.hex()
        if not path.is_file():
            return None
        try:
            return blobs.check(path.read_bytes(), resource)
        except BlobError:
            path.unlink()
            return None

    def put(self, resource: Resource, data: bytes) -> None:
        """Keeps a checked blob; it is durable on return."""
        files.write(self._folder / resource.sha256.hex(), data, files.PRIVATE)

    def keep_only(self, hashes: Container[str]) -> None:
        """Removes all blobs but those with these hexadecimal hashes. Files that are not blobs stay."""
        for path in self._folder.iterdir():
            if path.name not in hashes and _NAME.fullmatch(path.name) and path.is_file():
                path.unlink()
