"""Encrypts a client's state folder, decrypts it, or gives it another key."""

from contextlib import ExitStack
from os import PathLike
from pathlib import Path

from client_sdk import arguments
from client_sdk.errors import StoreError
from client_sdk.store import encryption
from client_sdk.store.encryption import Key
from client_sdk.store.folder import DATABASE, lock


def change_key(state_dir: str | PathLike[str], old: Key | None, new: Key | None) -> None:
    """Writes the user's data in a state folder with another key. The folder must not be open.

    The folder has one of the two keys whenever it is interrupted. The blocks of the file that was replaced stay on the
    disk until they are used again, so an unencrypted file may be found there for a while.

    Args:
        state_dir: a client's folder.
        old: the function that returns its key now; None: it is not encrypted.
        new: the function that returns its new key; None: it is not encrypted any more.

    Raises:
        StoreKeyError: the old key does not open it, or a function failed; nothing was changed.
        StoreLockedError: a client has opened it.
        StoreError: it is not a client's folder, another program reads its database, or the disk fails; nothing was
            changed.
        UsageError: a function does not return 32 bytes.
        MissingPackageError: SQLCipher is not installed.
    """
    folder: Path = arguments.folder("state_dir", state_dir)
    before, after = encryption.of(old), encryption.of(new)
    if not (folder / DATABASE).is_file():
        raise StoreError(f"{folder} is not a client's state folder: it has no {DATABASE}")
    try:
        with ExitStack() as stack:
            lock(folder, stack)
            encryption.rewrite(folder / DATABASE, before, after)
    except OSError as error:
        raise StoreError(f"{folder} was not given another key: {error}") from error
