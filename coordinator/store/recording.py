"""For audits only: a coordinator that was told to keeps every contribution, in the clear, with what it began from.

FOLDER/TASK/manifest.binpb              the task's manifest
FOLDER/TASK/ROUND/checkpoint.safetensors   what the round's devices began from
FOLDER/TASK/ROUND/ASSIGNMENT.binpb      each contribution, named by its assignment's id
FOLDER/TASK/ROUND/contributions         how many there are, written when the round is committed

What cannot be written is lost to the recording alone: rounds go on, and one that lacks anything is not `whole`.
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
from coordinator.store.rows import TaskRow

_log = logging.getLogger(__name__)

_MANIFEST, _CHECKPOINT, _SUFFIX, _COUNT = "manifest.binpb", "checkpoint.safetensors", ".binpb", "contributions"


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
        self._contributed: dict[Path, set[bytes]] = {}
        self._told = False
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

        A disk that is full or broken is told in the log, once, and stops nothing.
        """
        folder = self._of(row)
        self._contributed.setdefault(folder, set()).add(assignment_id)
        with self._telling():
            self._disk.make_folder(folder)
            folder.parent.chmod(0o700)  # the recording's own folder may be one that others made, and may read
            for path, digest in ((folder.parent / _MANIFEST, row.manifest), (folder / _CHECKPOINT, row.checkpoint)):
                if not path.exists():
                    self._disk.write_file(path, self._blobs.get(digest))
            path = folder / f"{assignment_id.hex()}{_SUFFIX}"
            if not path.exists():
                self._disk.write_file(path, data)

    def end(self, row: TaskRow) -> None:
        """Notes that a task's round has been committed, so that whoever reads the recording knows whether it is whole.

        Args:
            row: the task as it was while the round was open.
        """
        folder = self._of(row)
        if contributed := self._contributed.pop(folder, None):
            with self._telling():
                self._disk.write_file(folder / _COUNT, str(len(contributed)).encode())

    def forget(self, row: TaskRow) -> None:
        """A task's open round will not be committed."""
        self._contributed.pop(self._of(row), None)

    def _of(self, row: TaskRow) -> Path:
        return self._folder / row.task_id / str(row.round)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (OSError, BlobLostError) as error:
            if not self._told:
                _log.error(
                    "AUDIT: the recording in %s is not whole any more: %s. Rounds go on without it. Make room "
                    "there, or bring the folder back: rounds that begin afterwards are recorded. This is said once.",
                    self._folder,
                    error,
                )
            self._told = True


def _is_recording(folder: Path) -> bool:
    """Whether there is nothing but tasks, if anything."""
    tasks = list(folder.iterdir())
    return all(task.is_dir() for task in tasks) and all(
        inside.stem == Path(_MANIFEST).stem or inside.name.isdecimal() for task in tasks for inside in task.iterdir()
    )


@dataclass(frozen=True)
class RecordedRound:
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

    @property
    def whole(self) -> bool:
        """Whether it has been committed, and every contribution that was counted is here."""
        try:
            counted = int((self._path / _COUNT).read_bytes())
        except (OSError, ValueError):
            return False
        began = (self._path.parent / _MANIFEST, self._path / _CHECKPOINT)
        return counted == len(self.assignments()) and all(path.exists() for path in began)

    def assignments(self) -> list[bytes]:
        """Ids of the assignments that contributed, in their order."""
        return sorted(bytes.fromhex(path.stem) for path in self._path.glob(f"*{_SUFFIX}"))

    def contribution(self, assignment_id: bytes) -> bytes:
        """A contribution as it came."""
        return (self._path / f"{assignment_id.hex()}{_SUFFIX}").read_bytes()

    def forget(self) -> None:
        """Removes it."""
        shutil.rmtree(self._path)


def rounds(folder: Path) -> list[RecordedRound]:
    """The rounds of a recording, whole or not, by task and number."""
    found = [
        RecordedRound(folder, path.parent.name, int(path.name)) for path in folder.glob("*/*") if path.name.isdecimal()
    ]
    return sorted(found, key=lambda each: (each.task_id, each.number))
