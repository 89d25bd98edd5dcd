"""The state folder: its parts, its lock, and the id by which the folder and its ledger recognise each other."""

import logging
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from coordinator.errors import FolderError, FolderLockedError, LedgerError
from coordinator.store import database
from coordinator.store.disk import REAL, Disk
from coordinator.store.ledger import Ledger
from coordinator.store.migrations import WITNESSED
from coordinator.store.witness import Witness
from fedau2 import files

_log = logging.getLogger(__name__)

_CLIENT = "state.db"
"""The database by which a state folder of the SDK is known."""

_ADVICE = (
    "restore the ledger together with the state folder from a copy, or accept it as it is with `fedau2-coordinator "
    "doctor --accept-ledger`"
)


@dataclass(frozen=True)
class StateFolder:
    """The parts of a state folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def blobs(self) -> Path:
        """The folder of blobs that devices may fetch."""
        return self.path / "blobs"

    @property
    def server_state(self) -> Path:
        """The folder of server states, which are never served."""
        return self.path / "server-state"

    @property
    def log(self) -> Path:
        """The folder of the open rounds' segments."""
        return self.path / "log"

    @property
    def operations(self) -> Path:
        """The log of the operators' calls."""
        return self.path / "operations.log"

    @property
    def lock(self) -> Path:
        """The file that is locked by the coordinator that uses the folder."""
        return self.path / "lock"

    @property
    def ledger(self) -> Path:
        """The file of the ledger, unless the ledger is in a database elsewhere."""
        return self.path / "ledger.sqlite"

    def database(self, url: str | None) -> sa.URL:
        """Returns the URL of the ledger: the given URL, or SQLite in the folder.

        Raises:
            LedgerError: the given text is not a URL.
        """
        return database.parse(url) if url else database.sqlite(self.ledger)

    @property
    def id(self) -> str | None:
        """The folder's id; None: the folder has no id yet."""
        try:
            return self._id_file.read_text(errors="replace").strip()
        except FileNotFoundError:
            return None

    @property
    def aside(self) -> Path:
        """The folder of files that nothing explains. Nothing reads it."""
        return self.path / "aside"

    @property
    def unwitnessed(self) -> Path:
        """A file that is there while a ledger of an older version, which had no witness, is started for the first time.

        Such a ledger may have lost tasks and rounds, so nothing is removed until a start has set aside what is left.
        """
        return self.path / "unwitnessed"

    def witness(self, disk: Disk) -> Witness:
        """Returns the witness of the folder's ledger."""
        return Witness(self.path / "witness", disk)

    @property
    def _id_file(self) -> Path:
        return self.path / "id"

    def make(self, disk: Disk) -> None:
        """Makes the folder if it is not there yet.

        Raises:
            FolderError: it cannot be made, or is a client's; nothing was changed in it.
        """
        if (self.path / _CLIENT).exists():
            raise FolderError(
                f"{self.path} holds a client's {_CLIENT}, so it is not a coordinator's: name a folder that is"
            )
        with _usable():
            disk.make_folder(self.path)

    def open(self, disk: Disk) -> ExitStack:
        """Makes the parts that are not there yet, and locks the folder until the returned stack is closed.

        Raises:
            FolderLockedError: another coordinator uses it.
            FolderError: it cannot be used, or is a client's; nothing was changed in it.
        """
        self.make(disk)
        with ExitStack() as stack, _usable():
            for path in (self.path, self.blobs, self.server_state, self.log):
                disk.make_folder(path)
                if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                    raise PermissionError(f"no permission to read and write {path}")
            stack.enter_context(hold(self.lock.open("a")))
            if text := self.exposure():
                _log.warning("%s", text)
            return stack.pop_all()

    def exposure(self) -> str | None:
        """Says which parts other accounts of this machine may use, and what to do; None: none of them.

        A folder that they may use does not matter as long as nothing in it is open to them.
        """
        exposed = [path.name for path in self.path.iterdir() if _open_to_others(path)]
        if not exposed or not _open_to_others(self.path):
            return None
        return f"other accounts may use {', '.join(sorted(exposed))}: run chmod -R go= {shlex.quote(str(self.path))}"

    def join(self, ledger: Ledger, disk: Disk) -> Witness:
        """Joins a folder and a ledger, or checks that they are joined already. The ledger can be written then.

        Returns:
            The ledger's witness, open.

        Raises:
            LedgerError: they do not belong together, or the ledger has lost transactions; nothing was changed.
        """
        self.check(ledger)
        with ExitStack() as stack:
            witness = stack.enter_context(closing(self.witness(disk)))
            witness.begin(ledger.commits)
            ledger.prepare(ledger.folder or self.id or self.name(secrets.token_hex(16), disk), witness)
            stack.pop_all()
        return witness

    def check(self, ledger: Ledger) -> None:
        """Returns if a folder and a ledger belong together, and the ledger has lost nothing.

        Raises:
            LedgerError: they do not, or it has.
        """
        self.check_id(ledger)
        known = self.witness(REAL).read()
        if known is None and ledger.version >= WITNESSED:
            raise LedgerError(f"the witness of the ledger is missing in {self.path}: {_ADVICE}")
        if known is not None and ledger.commits < known:
            raise LedgerError(
                f"the ledger has lost transactions: it has {ledger.commits} of the {known} that the witness in "
                f"{self.path} knows; {_ADVICE}"
            )

    def check_id(self, ledger: Ledger) -> None:
        """Returns if a folder and a ledger belong together.

        Raises:
            LedgerError: they do not.
        """
        if ledger.folder is None:
            self._expect_parts_of(ledger)
        elif ledger.folder != self.id:
            raise LedgerError(
                f"the ledger belongs to the state folder with id {ledger.folder}, and {self.path} has "
                f"{f'id {self.id}' if self.id else 'no id'}: give --state and --database that belong together"
            )

    def name(self, name: str, disk: Disk) -> str:
        """Gives the folder its id, which is returned."""
        disk.write_file(self._id_file, f"{name}\n".encode())
        return name

    def _expect_parts_of(self, ledger: Ledger) -> None:
        """Recognises a ledger that names no folder, because it is new or of version 1, by its tasks."""
        manifests = ledger.manifests()
        missing = [digest for digest in manifests if not (self.blobs / digest.hex()).exists()]
        contents = [path for part in (self.blobs, self.server_state, self.log) for path in part.iterdir()]
        if missing or (contents and not manifests):
            raise LedgerError(
                f"the ledger and {self.path} do not belong together: "
                + (
                    f"the folder lacks manifest {missing[0].hex()[:12]}"
                    if missing
                    else "the ledger knows no task of it"
                )
                + "; give --state and --database that belong together"
            )


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        text = "it must be a folder that this user may read and write, on a disk with free space"
        raise FolderError(f"the state folder cannot be used: {error}; {text}") from error


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


@contextmanager
def hold(file: TextIO) -> Iterator[None]:
    """Keeps other coordinators from a folder while the block runs, by its lock file, which is then closed.

    Raises:
        FolderLockedError: another process has locked it.
    """
    with ExitStack() as stack:
        stack.enter_context(file)
        try:
            stack.enter_context(files.locked(file))
        except BlockingIOError as error:
            folder = Path(file.name).parent
            raise FolderLockedError(
                f"{folder} is used by another coordinator; give each a folder of its own"
            ) from error
        yield
