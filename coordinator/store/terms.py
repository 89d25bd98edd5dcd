"""The folder of a term: the time in which one coordinator leads on a ledger that several share.

A leader that was stopped and goes on does not know that its term is over, and no file system keeps it from writing. So
each term has a state folder of its own, whose name was never used before. It begins with links to the files of the
folder before it. Then one transaction of the lease's session lets the ledger belong to it. A former leader then
writes and removes in a folder that nobody reads.
"""

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from coordinator.errors import FolderError, FolderLockedError, LedgerError
from coordinator.store import timelines
from coordinator.store.disk import Disk
from coordinator.store.lease import Lease
from coordinator.store.ledger import Ledger
from coordinator.store.migrations import NEW, WITNESSED
from coordinator.store.state_folder import StateFolder, hold

NAME = re.compile(r"[0-9a-f]{32}")
"""The names of terms."""

_PART = ".part"
"""The end of the name of a folder that is being made. No ledger ever belongs to a folder of such a name."""

_PAST = "terms"
"""The file with the names of the terms before, a line each, whose folders were there when the term began."""

_MADE_ANEW = ("id", "lock", "witness", "operations.log", timelines.NAME, _PAST)
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
    with taken_over(lease) as ledger:
        try:
            return _begin(shared, lease, ledger, disk)
        except OSError as error:
            raise FolderError(
                f"the shared folder cannot be used: {error}; it must be a folder that this user may read and write, "
                "on a file system with hard links and free space"
            ) from error


@contextmanager
def taken_over(lease: Lease) -> Iterator[Ledger]:
    """Ends the sessions of former leaders, and keeps the ledger's lock while the block lets the ledger move.

    Raises:
        FolderLockedError: a coordinator that shares with nobody uses the ledger.
        LedgerError: the ledger cannot be used, or the lease is lost.
    """
    lease.end_former_terms()
    with closing(Ledger(lease.term_url)) as ledger:
        if NEW < ledger.version < WITNESSED:
            raise LedgerError("the ledger is of an old version: start one coordinator without `replica` on it first")
        yield ledger


def _begin(shared: Path, lease: Lease, ledger: Ledger, disk: Disk) -> Path:
    disk.make_folder(shared)
    timelines.expect_newest(shared, lease)
    before = None if ledger.folder is None else _expected(shared, ledger.folder)
    if before is not None:
        before.check(ledger)  # first of all: nothing of a folder that does not belong here may be changed
        _expect_newest(shared, before, ledger.commits, disk)
        sweep(shared, lease)
    name = secrets.token_hex(16)
    part = StateFolder(shared / f"{name}{_PART}")
    disk.make_folder(part.path)
    with hold(part.lock.open("a")):
        timelines.note(part.path, lease, disk)
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


def _expect_newest(shared: Path, folder: StateFolder, commits: int, disk: Disk) -> None:
    """Returns if no term that began from the ledger's folder was led. One that was not has an older witness.

    Raises:
        LedgerError: one was, on another copy of the ledger, which has transactions that this one lacks.
    """
    for file in shared.glob(f"*/{_PAST}"):
        known = StateFolder(file.parent).witness(disk).read() if folder.path.name in _past(file.parent) else None
        if known is not None and known > commits:
            raise LedgerError(
                f"the ledger has lost transactions: it has {commits} of the {known} that the witness in {file.parent} "
                "knows, whose term began from the ledger's. Nothing was changed. If PostgreSQL failed over, the former "
                "primary has the others. If a copy was restored, move that folder out of the shared folder"
            )


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
    parts = [path.name for path in shared.glob(f"*{_PART}") if NAME.fullmatch(path.name.removesuffix(_PART))]
    for name in [*(_past(shared / home) if home else ()), *parts]:
        remove(shared / name)


def remove(folder: Path) -> None:
    """Removes the folder of a term that is over, unless a coordinator uses it."""
    with suppress(FolderLockedError, FileNotFoundError), hold((folder / "lock").open("a")):
        shutil.rmtree(folder, ignore_errors=True)  # a former leader may be writing there


def _past(folder: Path) -> list[str]:
    """Returns the names of the terms before that of a folder; none where a coordinator was alone."""
    file = folder / _PAST
    return list(filter(NAME.fullmatch, file.read_text("ascii").split())) if file.exists() else []
