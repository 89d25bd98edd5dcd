"""Encrypts a state folder's database with the app's key, by SQLCipher: every page, and the log beside it.

SQLCipher is SQLite with encrypted and authenticated pages. Its module has the names of Python's own `sqlite3`. The
cached blobs are a public model, and are not encrypted.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from client_sdk.errors import MissingPackageError, StoreError, StoreKeyError, UsageError
from client_sdk.store import schema
from fedau2 import files

Key = Callable[[], bytes]
"""An app's function that returns 32 bytes, for example from the keystore of the platform."""

LENGTH = 32
NEW = ".new"
"""Ends the name of a database that is being written with another key. A client removes what a crash has left of it."""

_PLAIN = b"SQLite format 3\0"
_COPY = "SELECT sqlcipher_export('other')"


def of(key: Key | None) -> bytes | None:
    """Asks an app for its key.

    Raises:
        UsageError: the key is not a function, or does not give 32 bytes.
        StoreKeyError: the function failed.
        MissingPackageError: SQLCipher is not installed.
    """
    if key is None:
        return None
    if not callable(key):
        raise UsageError(f"key must be a function that returns {LENGTH} bytes, not {type(key).__name__}")
    _sqlcipher()
    try:
        value = key()
    except Exception as error:  # its text may quote the key
        raise StoreKeyError(f"the app's function for the key raised {type(error).__name__}") from error
    if not isinstance(value, bytes) or len(value) != LENGTH:
        raise UsageError(f"the app's function for the key must return {LENGTH} bytes")
    return value


def library(key: bytes | None) -> Any:  # noqa: ANN401 - SQLCipher's module has no types
    """Returns the module that opens a database: Python's own `sqlite3` where there is no key."""
    return sqlite3 if key is None else _sqlcipher()


def unlock(connection: sqlite3.Connection, path: Path, key: bytes | None) -> None:
    """Gives a new connection its key, and reads the file with it.

    Raises:
        StoreKeyError: the file is encrypted with another key, or not as the key says. It stays as it is.
    """
    with path.open("rb") as file:
        start = file.read(len(_PLAIN))
    if key is None:
        if start and start != _PLAIN:
            raise StoreKeyError(
                f"{path} is damaged or encrypted: open the client with its key. If it never had one, restore the whole "
                "folder from a copy, or move it away to start afresh"
            )
        return
    if start == _PLAIN:
        raise StoreKeyError(f"{path} is not encrypted: call client_sdk.change_key(state_dir, None, key) once")
    connection.execute("PRAGMA cipher_log_level = NONE")  # it would write to the app's standard error
    connection.execute(f'PRAGMA key = "{_quoted(key)}"')
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except library(key).DatabaseError as error:
        raise StoreKeyError(
            f"{path} is encrypted with another key, or damaged; nothing was changed. Without its key nobody can read "
            "it: restore the key, or move the folder away to start afresh as a new user"
        ) from error


def rewrite(path: Path, old: bytes | None, new: bytes | None) -> None:
    """Writes a database that nobody has opened with another key, or with none. It is replaced whole or not at all.

    Raises:
        StoreKeyError: the old key does not open it.
        StoreError: it is another program's, another program reads it, or the disk fails; it stays as it is.
    """
    other, sqlcipher = path.with_name(path.name + NEW), _sqlcipher()
    other.unlink(missing_ok=True)
    try:
        with closing(sqlcipher.connect(str(path), isolation_level=None)) as connection:
            unlock(connection, path, old)
            _expect_whole(connection, path)
            os.close(os.open(other, os.O_WRONLY | os.O_CREAT, files.PRIVATE))
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            target = "" if new is None else _quoted(new)
            connection.execute("ATTACH DATABASE ? AS other KEY ?", (str(other), target))
            connection.execute(_COPY)
            connection.execute(f"PRAGMA other.user_version = {version}")
            connection.execute("DETACH DATABASE other")
        _put(other, path)  # the connection has emptied and removed its log
    except sqlcipher.DatabaseError as error:
        raise StoreError(f"{path} was not written with the other key, and is as it was: {error}") from error
    finally:
        other.unlink(missing_ok=True)


def _expect_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Returns if a database is a client's and its log is empty: a log that stayed would be read with the new file."""
    if not {name for (name,) in connection.execute(schema.TABLES)} >= schema.KNOWN_BY:
        raise StoreError(f"{path} is not a client's database, and was not written with the other key")
    if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        raise StoreError(f"{path} was not written with the other key, because another program reads it: end it first")


def _put(new: Path, path: Path) -> None:
    steps = files.Steps()
    with new.open("rb+") as file:
        steps.sync(file)
    steps.rename(new, path)
    steps.sync_folder(path.parent)


def _quoted(key: bytes) -> str:
    return f"x'{key.hex()}'"


def _sqlcipher() -> Any:  # noqa: ANN401
    try:
        return import_module("sqlcipher3.dbapi2")
    except ImportError as error:
        raise MissingPackageError("a key needs SQLCipher: pip install 'fedau2[encrypted]'") from error
