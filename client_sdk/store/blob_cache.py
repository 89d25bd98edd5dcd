"""Caches blobs as files named by their hash, written whole or not at all and checked when read."""

import re
from collections.abc import Callable, Container
from contextlib import AbstractContextManager
from pathlib import Path

from client_sdk.protocol.values import Model
from client_sdk.store.part_file import PartFile
from client_sdk.store.started import StartedVersion
from fedau2 import files
from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire import blobs, manifest
from fedau2.wire.errors import BlobError

_PART = ".part"

_NAME = re.compile(rf"[0-9a-f]{{64}}(\.tmp|{re.escape(_PART)})?")
"""Names of blobs, of those that a crash left half written, and of those that have arrived in part."""


class BlobCache:
    """A folder of blobs. Its methods raise `OSError` if the disk fails.

    Besides the part of the blob that is being fetched it keeps one other: of the checkpoint of the started version,
    which is the first version whose checkpoint came in part since the last one was adopted.

    Args:
        folder: made if it does not exist, with permissions for its owner only.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._started = StartedVersion(folder / "started")
        self._removed: list[str] = []

    def get(self, resource: Resource) -> bytes | None:
        """Returns a blob. None: it is missing, or was damaged and has been removed."""
        path = self._folder / resource.sha256.hex()
        if not path.is_file():
            return None
        try:
            return blobs.check(path.read_bytes(), resource)
        except BlobError:
            path.unlink()
            self._removed.append(path.name)
            return None

    def take_removed(self) -> list[str]:
        """Returns the names of the damaged blobs that have been removed since the last call."""
        removed, self._removed = self._removed, []
        return removed

    def of(self, model: Model) -> set[str]:
        """Returns the names of a model's blobs, as far as they are known: its manifest may be missing."""
        data = self.get(model.manifest)
        parts = [] if data is None else manifest.blobs(TaskManifest.FromString(data))
        return {blob.sha256.hex() for blob in (model.manifest, model.checkpoint, *parts)}

    def put(self, resource: Resource, data: bytes) -> None:
        """Keeps a checked blob; it is durable on return."""
        files.write(self._folder / resource.sha256.hex(), data, files.PRIVATE)

    def download(self, resource: Resource, guard: Callable[[], AbstractContextManager[None]]) -> PartFile:
        """Begins to fetch a blob, or goes on where that broke off. Other blobs' parts go, except for the started one.

        Args:
            resource: the blob.
            guard: entered around each use of the file.
        """
        path, started = self._part(resource), self.started()
        kept = {path} if started is None else {path, self._part(started.checkpoint)}
        for part in self._folder.glob(f"*{_PART}"):
            if part not in kept:
                part.unlink()
        if path.exists() and path.stat().st_size > resource.size:
            path.unlink()
        return PartFile(path, resource, guard)

    def started(self) -> Model | None:
        """Returns the started version; None where no checkpoint has come in part."""
        model = self._started.read()
        return model if model is not None and self._part(model.checkpoint).exists() else None

    def start(self, model: Model) -> None:
        """Takes a version for the started one, unless there is one."""
        if self.started() is None:
            self._started.write(model)

    def abandon(self, model: Model) -> None:
        """Removes what has come of a version's checkpoint."""
        self._part(model.checkpoint).unlink(missing_ok=True)

    def _part(self, resource: Resource) -> Path:
        return self._folder / f"{resource.sha256.hex()}{_PART}"

    def keep_only(self, hashes: Container[str]) -> None:
        """Removes all blobs but those with these hexadecimal hashes and their parts. Files that are not blobs stay."""
        for path in self._folder.iterdir():
            kept = path.name.removesuffix(_PART) in hashes
            if not kept and _NAME.fullmatch(path.name) and path.is_file():
                path.unlink()

    def remove(self) -> None:
        """Removes the folder with everything that a cache has put there. Files of others stay, with an `OSError`."""
        self.keep_only(())
        self._started.remove()
        self._folder.rmdir()
