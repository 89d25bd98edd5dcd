"""A client's state folder: whose it is, the lock that keeps other clients out, and the names of its parts."""

import os
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path

from client_sdk.errors import StoreClosedError, StoreError, StoreLockedError
from client_sdk.store import database, instance
from client_sdk.store.blob_cache import BlobCache
from client_sdk.store.database import Database
from client_sdk.store.encryption import NEW
from fedau2 import files

BLOBS, DATABASE, PACE, _LOCK = "blobs", "state.db", "pace.json", "lock"

_LATER = {BLOBS, PACE}
"""Parts that are made after the database is complete."""
_FIRST = {_LOCK, DATABASE, f"{DATABASE}-journal"}
"""Parts that a first opening may leave if it is cut off while the database is still empty."""
_OURS = _FIRST | _LATER | {f"{DATABASE}-wal", f"{DATABASE}-shm", f"{PACE}.tmp"}


class StateFolder:
    """An open state folder. It is closed when it is collected, with a `ResourceWarning`.

    Args:
        path: made if it does not exist, with permissions for its owner only.
        key: 32 bytes that encrypt the database; None: it is not encrypted.

    Raises:
        StoreKeyError: the key does not open it.
        StoreLockedError: another client has opened it.
        StoreVersionError: a newer SDK wrote it.
        StoreError: it is damaged, not a client's, or has lost its database; or the disk fails.

    Attributes:
        database: the client's database.
        blobs: the client's blobs.
    """

    _opened: ExitStack | None = None

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self._path = path
        with ExitStack() as stack:
            try:
                new = _check(path)
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock(path, stack)
                _remove_left_over(path)
                self.database = Database(path / DATABASE, new, key)
                stack.callback(self.database.close)
                instance.claim(self.database, path / _LOCK)
                self.blobs = BlobCache(path / BLOBS)
            except OSError as error:
                raise StoreError(f"the state folder {path} cannot be used: {error}") from error
            self._opened = stack.pop_all()

    def close(self) -> None:
        """Closes the folder and lets other clients open it. May be called again.

        In a process that was forked from the one that opened it this does nothing, because it is in use there.
        """
        if self._opened is not None and not self.database.forked:
            with suppress(StoreClosedError), self.database.errors():
                self._opened.close()

    def __del__(self) -> None:
        if self._opened is not None and not (self.database.forked or self.database.closed):
            try:
                warnings.warn(f"the client of {self._path} was not closed", ResourceWarning, stacklevel=2, source=self)
            finally:
                self.close()


def _check(folder: Path) -> bool:
    """Looks at a folder and touches nothing. Returns True if no client has ever been opened in it.

    Raises:
        StoreError: the folder holds something else, or has lost its database.
        OSError: the folder cannot be read.
    """
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    path = folder / DATABASE
    if path.exists() and path.stat().st_size:
        database.expect_own(path)
    elif foreign := sorted(names - _OURS):
        raise StoreError(
            f"{folder} is not a client's state folder, because it holds {foreign[0]!r} and no {DATABASE}: give the "
            "client an empty folder, or one that does not exist"
        )
    elif names - _FIRST:
        raise database.lost(path)
    return not names & _LATER


def remove(folder: Path) -> None:
    """Removes a client's state folder that is not open.

    Raises:
        StoreError: it holds files that no client made, which stay; or it cannot be removed.
    """
    try:
        BlobCache(folder / BLOBS).remove()
        for name in sorted(_OURS - {BLOBS}):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise StoreError(f"the state folder {folder} could not be removed as a whole: {error}") from error


def _remove_left_over(folder: Path) -> None:
    """Removes what a change of the key has left that was cut off. It may not be encrypted."""
    for end in ("", "-journal"):
        (folder / f"{DATABASE}{NEW}{end}").unlink(missing_ok=True)


def lock(folder: Path, stack: ExitStack) -> None:
    """Locks a folder until the stack is closed.

    Raises:
        StoreLockedError: another client, or a coordinator, has locked it.
        OSError: the disk or the platform cannot lock.
    """
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    stack.callback(os.close, file)
    try:
        stack.enter_context(files.locked(file))
    except BlockingIOError as error:
        raise StoreLockedError(
            f"{folder} is open already, here or in another process: close it there first", folder
        ) from error
