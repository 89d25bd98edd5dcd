"""The folder of a term: the time in which one coordinator leads on a ledger that several share.

A leader that was stopped and goes on does not know that its term is over, and no file system keeps it from writing. So
each term has a state folder of its own, whose name was never used before. It begins with links to the files of the
folder before it. Then one transaction of the lease's session lets the ledger belong to it. A former leader then
writes and removes in a folder that nobody reads.
"""

import re
import secrets
import shutil
from contextlib import closing, suppress
from pathlib import Path

from coordinator.errors import FolderError, FolderLockedError, LedgerError
from coordinator.store.disk import Disk
from coordinator.store.lease import Lease
from coordinator.store.ledger import Ledger
from coordinator.store.migrations import NEW, WITNESSED
from coordinator.store.state_folder import StateFolder, hold

_NAME = re.compile(r"[0-9a-f]{32}")

_PART = ".part"
"""The end of the name of a folder that is being made. No ledger ever belongs to a folder of such a name."""

_PAST = "terms"
"""The file with the names of the terms before, a line each, whose folders were there when the term began."""

_MADE_ANEW = ("id", "lock", "witness", "operations.log", _PAST)
"""Parts of a state folder that are written in place. A link to them would let a former leader change them."""


def begin(shared: Path, lease: Lease, disk: Disk) -> Path:
    """Begins a term: makes its state folder, and lets the ledger belong to it.

    Args:
        shared: the folder that all coordinators share.
        lease: is held by this coordinator.
        disk: carries out the writes.

    Returns:
        The state folder. The ledger is opened with `Lease.term_url`.

    Raises:
        FolderError: the shared folder cannot be used.
        FolderLockedError: a coordinator that shares with nobody uses the ledger.
        LedgerError: the ledger cannot be used, has lost transactions or does not belong here, or the lease is lost.
    """
    lease.end_former_terms()
    with closing(Ledger(lease.term_url)) as ledger:  # it keeps the ledger's lock, until the ledger has moved
        if NEW < ledger.version < WITNESSED:
            raise LedgerError("the ledger is of an old version: start one coordinator without `replica` on it first")
        try:
            return _begin(shared, lease, ledger, disk)
        except OSError as error:
            raise FolderError(
                f"the shared folder cannot be used: {error}; it must be a folder that this user may read and write, "
                "on a file system with hard links and free space"
            ) from error


def _begin(shared: Path, lease: Lease, ledger: Ledger, disk: Disk) -> Path:
    disk.make_folder(shared)
    before = None if ledger.folder is None else _expected(shared, ledger.folder)
    if before is not None:
        before.check(ledger)  # first of all: nothing of a folder that does not belong here may be changed
        sweep(shared, lease)
    name = secrets.token_hex(16)
    part = StateFolder(shared / f"{name}{_PART}")
    disk.make_folder(part.path)
    with hold(part.lock.open("a")):
        if before is not None:
            _go_on(before, part, ledger.commits, disk)
        part.name(name, disk)
        part.path.rename(shared / name)
    disk.sync_folder(shared)
    if ledger.folder is not None:
        lease.move(ledger.folder, name, ledger.commits)
    return shared / name


def _go_on(before: StateFolder, folder: StateFolder, number: int, disk: Disk) -> None:
    """Begins a folder with the content of the one before, whose ledger has had so many commits."""
    _link(before.path, folder.path, disk)
    past = [name for name in _past(before.path) if (before.path.parent / name).is_dir()]
    disk.write_file(folder.path / _PAST, "\n".join([*past, before.path.name]).encode())
    folder.witness(disk).make(number)
    if before.operations.exists():
        disk.write_file(folder.operations, before.operations.read_bytes())


def _expected(shared: Path, name: str) -> StateFolder:
    """Returns the folder that the ledger belongs to.

    Raises:
        LedgerError: it is not in the shared folder.
    """
    folder = StateFolder(shared / name)
    if not folder.path.is_dir():
        raise LedgerError(
            f"the ledger belongs to the state folder with id {name}, and {folder.path} is not there: give --state and "
            "--database that belong together. The folder of a coordinator that was alone is moved there"
        )
    return folder


def _link(before: Path, after: Path, disk: Disk) -> None:
    """Links all files that are never written in place. A file that its leader removes meanwhile is not needed."""
    for path in sorted(before.rglob("*")):
        target = after / path.relative_to(before)
        if path.is_dir():
            disk.make_folder(target)
        elif path.name not in _MADE_ANEW and not path.is_socket():
            with suppress(FileNotFoundError):
                target.hardlink_to(path)
    for path in (after, *after.rglob("*/")):
        disk.sync_folder(path)


def sweep(shared: Path, lease: Lease) -> None:
    """Removes the folders of the ledger's terms that are over, and those that were never made whole.

    A term is over if the ledger's folder names it as its past: another ledger may have folders here. A folder that a
    coordinator uses or makes stays: that of a leader that was stopped, or of one on a copy of the ledger.

    Raises:
        LedgerError: the lease is lost. Nothing was removed.
    """
    home = lease.home()
    parts = [path.name for path in shared.glob(f"*{_PART}") if _NAME.fullmatch(path.name.removesuffix(_PART))]
    for name in [*(_past(shared / home) if home else ()), *parts]:
        with suppress(FolderLockedError, FileNotFoundError), hold((shared / name / "lock").open("a")):
            shutil.rmtree(shared / name, ignore_errors=True)  # a former leader may be writing there


def _past(folder: Path) -> list[str]:
    """Returns the names of the terms before that of a folder; none where a coordinator was alone."""
    file = folder / _PAST
    return list(filter(_NAME.fullmatch, file.read_text("ascii").split())) if file.exists() else []
