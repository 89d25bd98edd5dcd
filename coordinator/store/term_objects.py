"""A term whose state folder is in an object store too, and on a disk of its leader alone.

The successor reads the objects of the term before into a folder of its own, and copies them under its own prefix. As
with folders that are shared (`terms`), one transaction then lets the ledger belong to them. A former leader writes and
removes under a prefix that nobody reads.
"""

import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from coordinator.errors import FolderError, LedgerError, ObjectsError
from coordinator.store import timelines
from coordinator.store.disk import REAL
from coordinator.store.lease import Lease
from coordinator.store.ledger import Ledger
from coordinator.store.mirror import Mirror
from coordinator.store.object_files import PARTS, PAST, WITNESS, Part, at_once, fetch, listed, read
from coordinator.store.objects import Objects
from coordinator.store.state_folder import StateFolder, hold
from coordinator.store.terms import NAME, remove, taken_over
from coordinator.store.witness import Witness

_BEGUN = "begun"
"""The prefix of empty objects that are named by the terms that were begun after this one. Some of them failed."""

_CACHE = "cache"
"""A file in the local folder of each term, which says that the store has its files. Other folders are never removed."""

_REMEMBERED = 10
"""Terms that are removed again at each change of leader: one that was stopped for long may have written since."""


@contextmanager
def alone_in(path: Path) -> Iterator[None]:
    """Makes a folder in which one coordinator makes its state folders, and keeps others from it while the block runs.

    Raises:
        FolderLockedError: another coordinator uses it.
        FolderError: it cannot be used, or is a state folder itself.
    """
    with ExitStack() as stack:
        try:
            REAL.make_folder(path)
            if (name := StateFolder(path).id) is not None:
                raise FolderError(
                    f"{path} is a state folder. With `objects`, state names a folder of state folders: name another "
                    f"one, and move this one to the place {name} in it"
                )
            stack.enter_context(hold((path / "lock").open("a")))
            _tidy(path)
        except OSError as error:
            raise FolderError(f"the folder {path} cannot be used: {error}; name one that may be written") from error
        yield


def begin(local: Path, objects: Objects, lease: Lease) -> Mirror:
    """Begins a term: makes its state folder and its objects, and lets the ledger belong to them.

    Args:
        local: the folder of this coordinator alone, in which state folders are made.
        objects: the store that all coordinators share.
        lease: is held by this coordinator.

    Returns:
        The disk with the state folder. The ledger is opened with `Lease.term_url`.

    Raises:
        FolderError: the local folder cannot be used.
        FolderLockedError: a coordinator that shares with nobody uses the ledger.
        LedgerError: the ledger cannot be used, has lost transactions or does not belong here, or the lease is lost.
        ObjectsError: the store cannot be used.
    """
    with taken_over(lease) as ledger, ExitStack() as stack:
        mirror = Mirror(local / secrets.token_hex(16), objects)
        stack.callback(shutil.rmtree, mirror.folder, ignore_errors=True)
        stack.callback(mirror.close)
        try:
            REAL.make_folder(mirror.folder)
            REAL.write_file(mirror.folder / _CACHE, b"")
            timelines.expect_newest(objects, lease)
            timelines.note_object(objects, lease)
            past = [] if ledger.folder is None else _take_over(mirror, lease, ledger, ledger.folder)
            _finish(mirror, past)
            if ledger.folder is not None:
                lease.move(ledger.folder, mirror.folder.name, ledger.commits)
        except ObjectsError:
            raise
        except OSError as error:
            raise FolderError(
                f"the folder of this coordinator cannot be used: {error}; it must be a folder that this user may read "
                "and write, on a disk with free space"
            ) from error
        stack.pop_all()
    return mirror


def _take_over(mirror: Mirror, lease: Lease, ledger: Ledger, before: str) -> list[str]:
    """Goes on with the files of the term before, and returns the names of the newest terms so far."""
    folder, objects = StateFolder(mirror.folder), mirror.objects
    found: dict[str, list[Part]] = {}
    failed = [item.key.rpartition("/")[2] for item in objects.list(f"{before}/{_BEGUN}")]
    if _is_moved_here(folder.path.parent / before, objects, failed):
        _adopt(folder.path.parent / before, folder.path)
    else:
        found = fetch(objects, before, folder.path)
    folder.check(ledger)  # before anything is removed
    _expect_newest(mirror, failed, ledger.commits)
    past = _past(folder.path)
    _remove_terms(objects, lease, [*past, *failed])
    _tidy(folder.path.parent, folder.path, folder.path.parent / before)
    objects.put(f"{before}/{_BEGUN}/{folder.path.name}", b"")
    folder.witness(mirror).make(ledger.commits)
    for part in set(PARTS) - {PAST, WITNESS}:
        for path in _files(folder.path / part):
            mirror.hand_over(path, found.get(path.relative_to(folder.path).as_posix(), ()))
    return [*past, *failed, before][-_REMEMBERED:]


def _expect_newest(mirror: Mirror, begun: Iterable[str], commits: int) -> None:
    """Returns if none of the terms that began from the ledger's was led. One that was not has an older witness.

    Raises:
        LedgerError: one was, on another copy of the ledger, which has transactions that this one lacks.
    """
    for term in filter(NAME.fullmatch, begun):
        parts = listed(mirror.objects, term).get(WITNESS)
        if parts is None:
            continue
        path = mirror.folder / f"{WITNESS}-{term}"
        read(mirror.objects, {path: parts})
        known = Witness(path, REAL).read()
        path.unlink()
        if known is not None and known > commits:
            raise LedgerError(
                f"the ledger has lost transactions: it has {commits} of the {known} that the witness of {term} in the "
                "object store knows, whose term began from the ledger's. Nothing was changed. If PostgreSQL failed "
                "over, the former primary has the others. If a copy was restored, use another prefix in `objects`, "
                "with the folder that `fetch` made"
            )


def _is_moved_here(before: Path, objects: Objects, failed: Iterable[str]) -> bool:
    """Returns whether the ledger's folder was moved to this coordinator, from one that did not use the store.

    Args:
        before: the place of the folder.
        objects: the store.
        failed: terms that were begun from it, and failed.

    Raises:
        LedgerError: it was, and the store has files already, of this or of another time.
    """
    if not before.is_dir() or (before / _CACHE).exists():
        return False
    others = {item.key.partition("/")[0] for item in objects.list("")} - set(failed)
    known = bool(listed(objects, before.name))
    if known or any(NAME.fullmatch(name) for name in others - {before.name}):
        raise LedgerError(
            f"{before} was moved here, and the object store has {'it' if known else 'other state folders'} too. "
            "Nothing was changed. Name another prefix in `objects` to go on with this folder, or move it away to go on "
            "with the store"
        )
    return True


def _adopt(before: Path, after: Path) -> None:
    """Copies the folder of a coordinator that did not use the store, from where it was moved to."""
    for part in ("id", *PARTS):
        if (before / part).is_dir():
            shutil.copytree(before / part, after / part)
        elif (before / part).exists():
            shutil.copyfile(before / part, after / part)


def _finish(mirror: Mirror, past: Iterable[str]) -> None:
    StateFolder(mirror.folder).name(mirror.folder.name, mirror)
    mirror.flush()
    mirror.write_file(mirror.folder / PAST, "\n".join(past).encode())
    mirror.flush()


def sweep(mirror: Mirror, lease: Lease) -> None:
    """Removes the terms that are over, from the store and from the folder of this coordinator.

    Raises:
        LedgerError: the lease is lost. Nothing was removed.
        ObjectsError: the store cannot be used.
    """
    lease.expect()
    _remove_terms(mirror.objects, lease, _past(mirror.folder))
    _tidy(mirror.folder.parent, mirror.folder)


def _past(folder: Path) -> list[str]:
    file = folder / PAST
    return list(filter(NAME.fullmatch, file.read_text("ascii").split())) if file.exists() else []


def _remove_terms(objects: Objects, lease: Lease, names: Iterable[str]) -> None:
    for name in filter(NAME.fullmatch, names):
        keys = [item.key for item in objects.list(name)]
        lease.expect()  # whoever has lost it does not know which terms are over
        at_once(objects.delete, keys)


def _tidy(local: Path, *kept: Path) -> None:
    """Removes the folders of terms that are over from a coordinator's disk; the store has what is needed of them."""
    for path in local.iterdir():
        if NAME.fullmatch(path.name) and path not in kept and (path / _CACHE).exists():
            remove(path)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
