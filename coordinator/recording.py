"""For audits only: a coordinator that was told to keeps every contribution, in the clear, with what it began from.

FOLDER/TASK/manifest.binpb              the task's manifest
FOLDER/TASK/ROUND/checkpoint.safetensors   what the round's devices began from
FOLDER/TASK/ROUND/ASSIGNMENT.binpb      each contribution, named by its assignment's id
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from coordinator.blobs import BlobFolder
from coordinator.disk import Disk
from coordinator.errors import FolderError
from coordinator.ledger import TaskRow

_log = logging.getLogger(__name__)

_MANIFEST, _CHECKPOINT, _SUFFIX = "manifest.binpb", "checkpoint.safetensors", ".binpb"


class Recorder:
    """Writes a recording.

    Args:
        folder: made, for its owner alone, if it is not there; else it must be empty or a recording.
        blobs: of the coordinator, which it takes manifests and checkpoints from.
        disk: what is written to.

    Raises:
        FolderError: it cannot be made, or holds something else.
    """

    def __init__(self, folder: Path, blobs: BlobFolder, disk: Disk) -> None:
        self._folder, self._blobs, self._disk = folder, blobs, disk
        try:
            if not folder.exists():
                disk.make_folder(folder)
                folder.chmod(0o700)
            if not _is_recording(folder):
                raise FolderError(f"{folder} holds something else than a recording: name a folder of the audit's own")
        except OSError as error:
            raise FolderError(f"the audit's folder cannot be used: {error}") from error
        _log.warning(
            "AUDIT: every contribution is kept in the clear in %s. Whoever reads it learns devices' states, attributes "
            "and interactions. Only for devices of consenting testers, never for users; unset `audit` to end this.",
            folder,
        )

    def keep(self, row: TaskRow, assignment_id: bytes, data: bytes) -> None:
        """Keeps a contribution to a task's open round; again is the same as once.

        Raises:
            OSError: the disk is full or broken.
        """
        folder = self._folder / row.task_id / str(row.round)
        self._disk.make_folder(folder)
        folder.parent.chmod(0o700)  # the recording's own folder may be one that others made, and may read
        for path, digest in ((folder.parent / _MANIFEST, row.manifest), (folder / _CHECKPOINT, row.checkpoint)):
            if not path.exists():
                self._disk.write_file(path, self._blobs.get(digest))
        path = folder / f"{assignment_id.hex()}{_SUFFIX}"
        if not path.exists():
            self._disk.write_file(path, data)


def _is_recording(folder: Path) -> bool:
    """Whether there is nothing but tasks, if anything."""
    tasks = list(folder.iterdir())
    return all(task.is_dir() for task in tasks) and all(
        inside.stem == Path(_MANIFEST).stem or inside.name.isdecimal() for task in tasks for inside in task.iterdir()
    )


@dataclass(frozen=True)
class Round:
    """A recorded round.

    Attributes:
        folder: of the recording.
        task_id: the task.
        number: the round's.
    """

    folder: Path
    task_id: str
    number: int

    @property
    def _path(self) -> Path:
        return self.folder / self.task_id / str(self.number)

    @property
    def manifest(self) -> bytes:
        """The task's manifest, serialised."""
        return (self._path.parent / _MANIFEST).read_bytes()

    @property
    def checkpoint(self) -> bytes:
        """What its devices began from, safetensors."""
        return (self._path / _CHECKPOINT).read_bytes()

    def assignments(self) -> list[bytes]:
        """Ids of the assignments that contributed, in their order."""
        return sorted(bytes.fromhex(path.stem) for path in self._path.glob(f"*{_SUFFIX}"))

    def contribution(self, assignment_id: bytes) -> bytes:
        """A contribution as it came."""
        return (self._path / f"{assignment_id.hex()}{_SUFFIX}").read_bytes()

    def forget(self) -> None:
        """Removes it."""
        shutil.rmtree(self._path)


def rounds(folder: Path) -> list[Round]:
    """The rounds of a recording, by task and number."""
    found = [
        Round(folder, path.parent.parent.name, int(path.parent.name)) for path in folder.glob(f"*/*/{_CHECKPOINT}")
    ]
    return sorted(found, key=lambda each: (each.task_id, each.number))
