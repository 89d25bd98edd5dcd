"""A recording of every contribution in the clear, with the checkpoint that it started from. For audits only.

FOLDER/TASK/manifest.binpb              the task's manifest
FOLDER/TASK/ROUND/checkpoint.safetensors   the checkpoint that the round's devices started from
FOLDER/TASK/ROUND/ASSIGNMENT.binpb      a contribution, named by its assignment's id
FOLDER/TASK/ROUND/contributions         number of contributions, written when the round is committed

A file that cannot be written is missing from the recording only: rounds go on, and the recorded round is not `whole`.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import BlobLostError, FolderError
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.disk import Disk
from coordinator.store.task_rows import TaskRow

_log = logging.getLogger(__name__)

_MANIFEST, _CHECKPOINT, _SUFFIX, _COUNT = "manifest.binpb", "checkpoint.safetensors", ".binpb", "contributions"


class Recorder:
    """Writes a recording.

    Args:
        folder: made, for its owner alone, if it is not there; otherwise it must be empty or a recording.
        blobs: the coordinator's blobs, which hold manifests and checkpoints.
        disk: carries out the writes.

    Raises:
        FolderError: the folder cannot be made, or holds something else.
    """

    def __init__(self, folder: Path, blobs: BlobFolder, disk: Disk) -> None:
        self._folder, self._blobs, self._disk = folder, blobs, disk
        self._contributed: dict[Path, set[bytes]] = {}
        self._failure_logged = False
        try:
            if not folder.exists():
                disk.make_folder(folder)
            if not _is_recording(folder):
                raise FolderError(f"{folder} is not a recording and not empty: name a folder for this audit alone")
        except OSError as error:
            raise FolderError(f"the audit folder cannot be used: {error}") from error
        _log.warning(
            "AUDIT: every contribution is kept in the clear in %s. Everyone who can read it learns devices' states, "
            "attributes and interactions. Only for devices of consenting testers, never for users. Unset `audit` to "
            "end this.",
            folder,
        )

    def keep(self, row: TaskRow, assignment_id: bytes, data: bytes) -> None:
        """Keeps a contribution to a task's open round. Keeping it again changes nothing.

        A disk that is full or broken is logged, once, and stops nothing.
        """
        folder = self._of(row)
        self._contributed.setdefault(folder, set()).add(assignment_id)
        with self._logging_failures():
            self._disk.make_folder(folder)
            folder.parent.chmod(0o700)  # others may have made the recording's folder, and may read it
            for path, digest in ((folder.parent / _MANIFEST, row.manifest), (folder / _CHECKPOINT, row.checkpoint)):
                if not path.exists():
                    self._disk.write_file(path, self._blobs.get(digest))
            path = folder / f"{assignment_id.hex()}{_SUFFIX}"
            if not path.exists():
                self._disk.write_file(path, data)

    def end(self, row: TaskRow) -> None:
        """Notes that a task's round has been committed, so that a reader of the recording knows whether it is whole.

        Args:
            row: the task as it was while the round was open.
        """
        folder = self._of(row)
        if contributed := self._contributed.pop(folder, None):
            with self._logging_failures():
                self._disk.write_file(folder / _COUNT, str(len(contributed)).encode())

    def forget(self, row: TaskRow) -> None:
        """Notes that a task's open round will not be committed."""
        self._contributed.pop(self._of(row), None)

    def discard(self, row: TaskRow) -> None:
        """Removes the recording of a task's open round, which begins anew with another checkpoint."""
        self.forget(row)
        if self._of(row).exists():
            with self._logging_failures():
                shutil.rmtree(self._of(row))

    def _of(self, row: TaskRow) -> Path:
        return self._folder / row.task_id / str(row.round)

    @contextmanager
    def _logging_failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, BlobLostError) as error:
            if not self._failure_logged:
                _log.error(
                    "AUDIT: the recording in %s is no longer whole: %s. Rounds go on without it. Make room "
                    "there, or bring the folder back: rounds that begin afterwards are recorded. This is logged once.",
                    self._folder,
                    error,
                )
            self._failure_logged = True


def _is_recording(folder: Path) -> bool:
    """Returns whether the folder holds nothing but recorded tasks, or nothing at all."""
    tasks = list(folder.iterdir())
    return all(task.is_dir() for task in tasks) and all(
        inside.name.removesuffix(".tmp") == _MANIFEST or inside.name.isdecimal()
        for task in tasks
        for inside in task.iterdir()
    )


@dataclass(frozen=True)
class RecordedRound:
    """A recorded round.

    Attributes:
        folder: the folder of the recording.
        task_id: the task.
        number: number of the round.
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
        """The checkpoint that its devices started from, as safetensors."""
        return (self._path / _CHECKPOINT).read_bytes()

    @property
    def whole(self) -> bool:
        """The round has been committed, and every contribution that was counted has been recorded."""
        try:
            counted = int((self._path / _COUNT).read_bytes())
        except (OSError, ValueError):
            return False
        start = (self._path.parent / _MANIFEST, self._path / _CHECKPOINT)
        return counted == len(self.assignments()) and all(path.exists() for path in start)

    def assignments(self) -> list[bytes]:
        """Lists the ids of the assignments that contributed, in ascending order."""
        return sorted(bytes.fromhex(path.stem) for path in self._path.glob(f"*{_SUFFIX}"))

    def contribution(self, assignment_id: bytes) -> bytes:
        """Reads a contribution, as the device sent it."""
        return (self._path / f"{assignment_id.hex()}{_SUFFIX}").read_bytes()

    def forget(self) -> None:
        """Removes the recorded round."""
        shutil.rmtree(self._path)


def recorded_rounds(folder: Path) -> list[RecordedRound]:
    """Lists the rounds of a recording, whole or not, by task and number."""
    paths = [path for path in folder.glob("*/*") if path.name.isdecimal()]
    rounds = [RecordedRound(folder, path.parent.name, int(path.name)) for path in paths]
    return sorted(rounds, key=lambda recorded: (recorded.task_id, recorded.number))
