"""Opens the SQLite file of a state folder, and turns its errors into `StoreError`.

SQLite's connection and the locks here belong to the process that made them. A process that is forked from it inherits
copies that it must not use: a lock may be held there for ever. Every way into this module asks for the process first.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from client_sdk.errors import StoreClosedError, StoreError, StoreForkedError, StoreVersionError
from client_sdk.store import encryption, schema

_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "fullfsync = ON", "secure_delete = ON")


def lost(path: Path) -> StoreError:
    """Returns the error for a database that is missing or empty beside other parts of a client's state."""
    return StoreError(
        f"{path} is missing or empty, and the rest of the client's state is there: put the whole folder back from a "
        "copy. To start afresh as a new user, move the folder away"
    )


def expect_own(path: Path) -> None:
    """Returns unless a file is a database with tables of another program. It reads the file and touches nothing.

    Raises:
        StoreError: the database is another program's.
    """
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(address, uri=True)) as connection:
        _expect_own(path, connection.execute(schema.TABLES).fetchall())


def _expect_own(path: Path, tables: list[tuple[str]]) -> None:
    if tables and not {name for (name,) in tables} >= schema.KNOWN_BY:
        raise StoreError(f"{path} is another program's database: give the client a folder of its own")


class Database:
    """One connection, shared by all threads. A commit is durable on return, whatever dies afterwards.

    Args:
        path: made with permissions for its owner only if it does not exist.
        new: True if it may be without tables. It then gets them, and a new client key.
        key: 32 bytes that encrypt it; None: it is not encrypted.

    Raises:
        StoreKeyError: it is encrypted with another key, or not as the key says.
        StoreVersionError: a newer SDK wrote it.
        StoreError: it is damaged, lost or another program's, or the disk fails. Every method may raise this, and
            `StoreClosedError` and `StoreForkedError` among it.
    """

    def __init__(self, path: Path, new: bool, key: bytes | None = None) -> None:
        self._path, self._new, self._sqlite = path, new, encryption.library(key)
        self._mutex = RLock()
        self._process = os.getpid()
        self._closed = False
        with self.errors():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            connect = self._sqlite.connect
            self._connection: sqlite3.Connection = connect(str(path), isolation_level=None, check_same_thread=False)
            try:
                encryption.unlock(self._connection, path, key)
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Closes the connection."""
        with self.errors():
            self._closed = True
            self._connection.close()

    def __del__(self) -> None:
        if self.forked:  # the end of the inherited connection comes now in any case, and Python 3.13 would warn of it
            self._connection.close()

    @property
    def closed(self) -> bool:
        """True once the connection has been closed."""
        return self._closed

    @property
    def forked(self) -> bool:
        """True in a process that was forked from the one that opened the database."""
        return os.getpid() != self._process

    def expect_own_process(self) -> None:
        """Returns in the process that opened the database, without waiting for its other threads.

        Raises:
            StoreForkedError: this is another process.
        """
        if self.forked:
            raise StoreForkedError(
                f"{self._path.parent} was opened by process {self._process}, from which this one was forked: use the "
                "client there, or open one after the fork"
            )

    def ensure_open(self) -> None:
        """Returns if the database can be used, without waiting for other threads.

        Raises:
            StoreForkedError: another process opened it.
            StoreClosedError: it has been closed.
        """
        self.expect_own_process()
        if self._closed:
            raise StoreClosedError(f"the client of {self._path.parent} is closed: open another")

    @property
    def changes(self) -> int:
        """Number of rows changed since the file was opened. Reading it does not wait for other threads."""
        self.ensure_open()
        try:
            return self._connection.total_changes
        except self._sqlite.ProgrammingError as error:  # closed by another thread since
            raise StoreClosedError(f"the client of {self._path.parent} is closed: open another") from error

    def one(self, query: str, values: Sequence[Any] = ()) -> Any:  # noqa: ANN401
        """Returns the first row; None if there are no rows."""
        with self.errors(), closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchone()

    def all(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Returns all rows."""
        with self.errors():
            return self._connection.execute(query, values).fetchall()

    def write(self, statement: str, values: Sequence[Any]) -> None:
        """Carries out one statement as a transaction."""
        with self.transaction() as connection:
            connection.execute(statement, values)

    def scrub(self) -> None:
        """Writes all changes into the file and empties the log beside it, so that deleted data is overwritten.

        Raises:
            StoreError: another program reads the file, so the log cannot be emptied.
        """
        if self.one("PRAGMA wal_checkpoint(TRUNCATE)")[0]:
            raise StoreError(
                f"deleted data is still in {self._path}-wal, because another program reads the file: end that program "
                "and close the client"
            )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commits at the end of the block, and rolls back if it raises."""
        with self.errors():
            if self._connection.in_transaction:  # left by a signal that came between BEGIN and the block
                self._connection.rollback()
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield self._connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Keeps other threads out, and raises a `StoreError` in place of an error of the disk or of SQLite."""
        self.expect_own_process()
        try:
            with self._mutex:
                self.ensure_open()
                yield
        except (self._sqlite.OperationalError, self._sqlite.ProgrammingError, OSError, OverflowError) as error:
            raise StoreError(f"{self._path.parent}: {error}") from error
        except self._sqlite.DatabaseError as error:
            raise self.damaged(error) from error

    def damaged(self, why: object) -> StoreError:
        """Returns the error for a file that does not hold what was written to it."""
        reason = " ".join(str(why).split())
        return StoreError(
            f"{self._path} is damaged ({reason}): restore the whole folder from a copy, or move it away to start afresh"
        )

    def _prepare(self) -> None:
        tables = self.all(schema.TABLES)
        _expect_own(self._path, tables)
        if not tables and not self._new:
            raise lost(self._path)
        for setting in _PRAGMAS:
            self._connection.execute(f"PRAGMA {setting}")
        (version,) = self.one("PRAGMA user_version")
        if version > schema.VERSION:
            raise StoreVersionError(
                f"{self._path} has schema {version}, and this SDK knows {schema.VERSION}: update the fedau2 package"
            )
        if version < schema.VERSION:
            with self.transaction() as connection:
                schema.upgrade(connection, version)
        (verdict,) = self.one("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise self.damaged(verdict)
        try:
            self.one("PRAGMA wal_checkpoint(TRUNCATE)")  # a process that died may have been deleting
        except StoreError as error:
            if not isinstance(error.__cause__, self._sqlite.OperationalError):
                raise
            # The disk is full, but the log can still be read.
