"""Opens the SQLite file of a state folder, and turns its errors into `StoreError`."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from client_sdk.errors import StoreError, StoreVersionError
from client_sdk.store import schema


class Database:
    """One connection, shared by all threads. A commit is durable on return, whatever dies afterwards.

    Args:
        path: made with a new client key if it does not exist, with permissions for its owner only.

    Raises:
        StoreVersionError: a newer SDK wrote it.
        StoreError: it is damaged, or the disk fails. Every method may raise this.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = RLock()
        with self.errors():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Closes the connection."""
        with self.errors():
            self._connection.close()

    def ensure_open(self) -> None:
        """Returns if the connection is open.

        Raises:
            StoreError: it has been closed.
        """
        _ = self.changes

    @property
    def changes(self) -> int:
        """Number of rows changed since the file was opened. Reading it does not wait for other threads."""
        try:
            return self._connection.total_changes
        except sqlite3.ProgrammingError as error:
            raise StoreError(f"{self._path.parent}: {error}") from error

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
        try:
            with self._mutex:
                yield
        except (sqlite3.OperationalError, sqlite3.ProgrammingError, OSError, OverflowError) as error:
            raise StoreError(f"{self._path.parent}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise self.damaged(error) from error

    def damaged(self, why: object) -> StoreError:
        """Returns the error for a file that does not hold what was written to it."""
        reason = " ".join(str(why).split())
        return StoreError(
            f"{self._path} is damaged ({reason}): restore the whole folder from a copy, or move it away to start afresh"
        )

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")
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
            if not isinstance(error.__cause__, sqlite3.OperationalError):
                raise
            # The disk is full, but the log can still be read.
