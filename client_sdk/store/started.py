"""Remembers the model version whose download has begun, so that it can be finished while rounds go on."""

from pathlib import Path

from google.protobuf.message import DecodeError

from client_sdk.protocol.values import Model
from fedau2 import files
from fedau2.v1.device_pb2 import ModelVersion


class StartedVersion:
    """A file that names one model version. Its methods raise `OSError` if the disk fails.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Model | None:
        """Returns the version; None if there is no file, or it is damaged."""
        try:
            message = ModelVersion.FromString(self._path.read_bytes())
        except (FileNotFoundError, DecodeError):
            return None
        return Model(message.task_id, message.round, message.manifest, message.checkpoint)

    def write(self, model: Model) -> None:
        """Remembers a version in place of the one before."""
        message = ModelVersion(
            task_id=model.task_id, round=model.round, manifest=model.manifest, checkpoint=model.checkpoint
        )
        files.write(self._path, message.SerializeToString(), files.PRIVATE)

    def remove(self) -> None:
        """Removes the file, and what an interrupted writing has left of it."""
        for path in (self._path, self._path.with_name(f"{self._path.name}.tmp")):
            path.unlink(missing_ok=True)
