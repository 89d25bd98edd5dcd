"""Backups of a state folder with its ledger in SQLite, made also while a coordinator uses the folder.

The ledger is copied first. The blobs and the contributions that the copy names are opened at once: what is open stays
readable when a commit removes its name. If one has gone in between, the ledger is copied again.
"""

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from coordinator.errors import BackupError, LedgerError
from coordinator.store import migrations, operations_log
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.database import sqlite
from coordinator.store.disk import REAL
from coordinator.store.inventory import Inventory
from coordinator.store.ledger import Ledger
from coordinator.store.round_log import RoundLog
from coordinator.store.soundness import expect_whole
from coordinator.store.state_folder import StateFolder
from coordinator.store.task_blobs import TaskBlobs, kept_blobs

_LEDGER = ("ledger.sqlite-pages", "ledger.sqlite-wal", "ledger.sqlite")
"""In the order in which they are copied: what changes in one of them meanwhile is in the one copied before it."""

_ATTEMPTS = 50
"""Most copies of the ledger. Each was overtaken by the end of a round."""

_PIECE = 2**20


@dataclass(frozen=True)
class Taken:
    """A backup that was made.

    Attributes:
        tasks: number of tasks.
        left_out: names of blobs that are missing or damaged in the state folder, and that no round needs.
    """

    tasks: int
    left_out: list[str]


def take(folder: StateFolder, part: Path) -> Taken:
    """Copies a state folder, and checks the copy as a start checks the folder.

    Args:
        folder: the state folder, which a coordinator may be using.
        part: an empty folder.

    Raises:
        LedgerError: the ledger is damaged, has lost transactions, or is of another version.
        BlobLostError, LogError, OperationsError: the folder is damaged; a coordinator could not go on from it.
        BackupError: rounds end faster than the ledger can be copied.
        OSError: the disk is full or broken.
    """
    copied, lost = _with_parts(part), set[str]()
    for _ in range(_ATTEMPTS):
        made, known = time.time(), folder.witness(REAL).read()
        files = _copy_ledger(folder, part)
        with ExitStack() as stack, closing(Ledger(sqlite(copied.ledger))) as ledger:
            _expect_current(folder, ledger, known)
            sources = _opened(folder, _named(folder, ledger), stack)
            missing = {name for name, file in sources.items() if file is None}
            if not missing <= lost:  # a ledger that is copied after the loss no longer names what a commit removed
                lost = missing
                continue
            files |= {name: copy(file, part / name) for name, file in sources.items() if file is not None}
            files |= _copy_rest(folder, part)
            damaged = _damaged(files)
            for name in damaged:
                (part / name).unlink()
                del files[name]
            expect_whole(ledger, RoundLog(copied.log), _blobs(copied))
            tasks, commits = len(ledger.tasks()), ledger.commits
        (part / "ledger.sqlite-shm").unlink(missing_ok=True)
        Inventory(made, commits, files).write(part)
        return Taken(tasks, sorted(missing | damaged))
    raise BackupError("rounds end faster than the ledger can be copied: pause the tasks, or stop the coordinator")


def _with_parts(part: Path) -> StateFolder:
    """Makes the folders in a state folder or a backup."""
    folder = StateFolder(part)
    for path in (folder.blobs, folder.server_state, folder.log):
        REAL.make_folder(path)
    return folder


def _copy_ledger(folder: StateFolder, part: Path) -> dict[str, str]:
    """Copies the ledger, and returns the hashes of its files."""
    files = dict[str, str]()
    (part / f"{folder.ledger.name}-shm").unlink(missing_ok=True)
    with _kept_in_log(folder.ledger):
        for name in _LEDGER:
            (part / name).unlink(missing_ok=True)
            if (folder.path / name).exists():
                files[name] = _copy_file(folder.path / name, part / name)
    return files


def _expect_current(folder: StateFolder, ledger: Ledger, known: int | None) -> None:
    """Returns if a copied ledger is the folder's, of this version, and not older than the witness was before."""
    if ledger.version != migrations.VERSION:
        raise LedgerError(
            f"the ledger has schema version {ledger.version}, and this fedau2-coordinator works with version "
            f"{migrations.VERSION}: start the coordinator once; it brings the ledger up to date"
        )
    if known is None or ledger.commits < known:
        raise LedgerError(f"the ledger has lost transactions, or its witness: run doctor on {folder.path}")
    folder.check_id(ledger)


@contextmanager
def _kept_in_log(database: Path) -> Iterator[None]:
    """While the block runs, what was committed stays in SQLite's write-ahead log, because this process still reads it.

    The coordinator may go on to add to the log meanwhile.
    """
    try:
        connection = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, isolation_level=None)
        with closing(connection):
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {database} cannot be read: {error}; examine the folder with doctor") from error


def _named(folder: StateFolder, ledger: Ledger) -> set[str]:
    """The files that a ledger names: its tasks' blobs, and the contributions of open rounds."""
    blobs, names = _blobs(folder), set[str]()
    for row in ledger.tasks():
        for blob in kept_blobs(row, blobs.manifest(row)):
            place = folder.blobs if blob.served else folder.server_state
            names.add(f"{place.name}/{blob.sha256.hex()}")
        if row.open:
            rows = ledger.assignments(row.task_id, row.round)
            names |= {f"{folder.log.name}/{row.location.segment}" for row in rows if row.location is not None}
    return names


def _opened(folder: StateFolder, names: set[str], stack: ExitStack) -> dict[str, BinaryIO | None]:
    """Opens files until the stack is closed; None: the file is missing."""
    opened = dict[str, BinaryIO | None]()
    for name in sorted(names):
        try:
            opened[name] = stack.enter_context((folder.path / name).open("rb"))
        except FileNotFoundError:
            opened[name] = None
    return opened


def _copy_rest(folder: StateFolder, part: Path) -> dict[str, str]:
    """Copies the folder's id and the log of the operators' calls, whose last line may be half written."""
    files = {"id": _copy_file(folder.path / "id", part / "id")}
    if folder.operations.exists():
        files[folder.operations.name] = _copy_file(folder.operations, part / folder.operations.name)
        for _ in operations_log.read(part / folder.operations.name):
            pass
    return files


def _damaged(files: dict[str, str]) -> set[str]:
    """Names of blobs that have other contents than their names say."""
    blobs = (name for name in files if name.startswith(("blobs/", "server-state/")))
    return {name for name in blobs if files[name] != name.rpartition("/")[2]}


def _blobs(folder: StateFolder) -> TaskBlobs:
    return TaskBlobs(BlobFolder(folder.blobs), BlobFolder(folder.server_state))


def copy_back(source: Path, part: Path) -> Inventory:
    """Copies the files of a backup into an empty folder, and checks each against the inventory.

    Raises:
        BackupError: the folder is not a backup, or a file is missing or damaged.
        OSError: the disk is full or broken.
    """
    inventory = Inventory.read(source)
    _with_parts(part)
    for name, digest in inventory.files.items():
        try:
            file = (source / name).open("rb")
        except OSError as error:
            raise BackupError(f"the backup is not whole: {name} cannot be read ({error.strerror})") from error
        with file:
            if copy(file, part / name) != digest:
                raise BackupError(f"the backup is damaged: {source / name} is not as it was written; use another one")
    return inventory


def _copy_file(source: Path, place: Path) -> str:
    with source.open("rb") as file:
        return copy(file, place)


def copy(file: BinaryIO, place: Path) -> str:
    """Copies what a file holds into a new file, durably, and returns its SHA-256 in hexadecimal digits."""
    digest = hashlib.sha256()
    with REAL.create(place) as copied:
        while piece := file.read(_PIECE):
            digest.update(piece)
            REAL.write(copied, piece)
        REAL.sync(copied)
    return digest.hexdigest()
