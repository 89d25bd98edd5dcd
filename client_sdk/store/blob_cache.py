"""Caches blobs as files named by their hash, written whole or not at all and checked when read."""

import re
from collections.abc import Callable, Container
from contextlib import AbstractContextManager
from pathlib import Path

from client_sdk.protocol.values import Model
from client_sdk.store.part_file import PartFile
from fedau2 import files
from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire import blobs, manifest
from fedau2.wire.errors import BlobError

_PART = ".part"

_NAME = re.compile(rf"[0-9a-f]{{64}}(\.tmp|{re.escape(_PART)})?")
"""Names of blobs, of those that a crash left half written, and of those that have arrived in part."""


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

    def of(self, model: Model) -> set[str]:
        """Returns the names of a model's blobs, as far as they are known: its manifest may be missing."""
        data = self.get(model.manifest)
        parts = [] if data is None else manifest.blobs(TaskManifest.FromString(data))
        return {blob.sha256.hex() for blob in (model.manifest, model.checkpoint, *parts)}

    def put(self, resource: Resource, data: bytes) -> None:
        """Keeps a checked blob; it is durable on return."""
        files.write(self._folder / resource.sha256.hex(), data, files.PRIVATE)

    def download(self, resource: Resource, guard: Callable[[], AbstractContextManager[None]]) -> PartFile:
        """Begins to fetch a blob, or goes on where that broke off. The parts of all other blobs are removed.

        Args:
            resource: the blob.
            guard: entered around each use of the file.
        """
        path = self._folder / f"{resource.sha256.hex()}{_PART}"
        for other in self._folder.glob(f"*{_PART}"):
            if other != path or other.stat().st_size > resource.size:
                other.unlink()
        return PartFile(path, resource, guard)

    def keep_only(self, hashes: Container[str]) -> None:
        """Removes all blobs but those with these hexadecimal hashes and their parts. Files that are not blobs stay."""
        for path in self._folder.iterdir():
            kept = path.name.removesuffix(_PART) in hashes
            if not kept and _NAME.fullmatch(path.name) and path.is_file():
                path.unlink()
