"""The connections to SQLite or PostgreSQL. Transactions that write follow one another, whichever process makes them."""

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from fedau2 import files
from unmasker.errors import BooksError

_LOCK = 0x554E4D53
"""Key of the advisory lock in PostgreSQL that a transaction holds while it writes."""

_STEPS = files.Steps()

MOST = 2**31 - 1
"""Largest number that the head of SQLite's file can hold."""

_PART = 500
"""Most values that are looked for at a time; SQLite takes some thousands."""

_PATIENCE = 20_000
"""Milliseconds for which a transaction waits for the one before."""


class Database:
    """A database whose commits last.

    Args:
        url: SQLAlchemy URL of a file in SQLite, or of a database in PostgreSQL.

    Raises:
        BooksError: the URL is none of these, or the driver is missing.
    """

    def __init__(self, url: sa.URL | str) -> None:
        with _failures():
            parsed = sa.make_url(url)
            name = parsed.get_backend_name()
            if name == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            elif name != "sqlite" or not parsed.database or parsed.database.startswith((":", "file:")):
                text = "a file in SQLite (sqlite:///PATH) or a database in PostgreSQL"
                raise BooksError(f"the unmasker's database is {text}, not {parsed.render_as_string()}")
            self._engine = sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
            self._file = Path(parsed.database) if name == "sqlite" and parsed.database else None
            event.listen(self._engine, "connect", _set_up_sqlite if self._file else _set_up_postgresql)

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    @property
    def missing(self) -> bool:
        """True if the file of SQLite is not there. It would be made by whoever opens it."""
        return self._file is not None and not self._file.exists()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Opens a transaction that no other writes beside. It is committed at the end of the block, durably.

        Raises:
            BooksError: the database failed, or another transaction took too long; nothing was changed.
        """
        with _failures(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if self._file else f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens a transaction that sees one state of the database, and changes nothing.

        Raises:
            BooksError: the database failed.
        """
        with _failures(), self._engine.connect() as connection:
            isolation = "BEGIN" if self._file else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
            connection.exec_driver_sql(isolation)
            yield connection

    def count(self, connection: Connection, commits: int) -> None:
        """Writes into the head of SQLite's file how many transactions it has, within the last of them."""
        if self._file is not None:
            connection.exec_driver_sql(f"PRAGMA user_version = {commits & MOST}")

    def counted(self) -> int | None:
        """Returns what `count` wrote into SQLite's file, read without the journal of a process that was killed.

        SQLite undoes what a journal has, and does not notice when the file beside it is another. None: PostgreSQL, or
        no such file.
        """
        if self._file is None:
            return None
        try:
            with self._file.open("rb") as file:
                head = file.read(64)
        except OSError:
            return None
        return int.from_bytes(head[60:]) if len(head) == 64 else None

    def copy(self, path: Path) -> None:
        """Copies SQLite's file into a new one, durably.

        Raises:
            BooksError: the database is PostgreSQL, it failed, or the file is there already or cannot be written.
        """
        if self._file is None:
            raise BooksError("PostgreSQL has a command of its own for copies: use pg_dump")
        try:
            _STEPS.create(path).close()  # its name is taken: a kill leaves it empty, and never half a copy
        except OSError as error:
            raise BooksError(f"{path} cannot be made: {error.strerror}; name a file that is not there yet") from error
        part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self._copy_over(part, path)
        except BaseException as error:
            part.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise BooksError(f"{path} cannot be written: {error.strerror}; check its disk") from error
            raise

    def _copy_over(self, part: Path, path: Path) -> None:
        with _STEPS.create(part) as file, _failures(), self._engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(part),))
            _STEPS.sync(file)
        _STEPS.rename(part, path)
        _STEPS.sync_folder(path.parent)


def in_parts(
    connection: Connection, query: "sa.Select[Any]", column: sa.Column[Any], values: Sequence[Any]
) -> Iterator["sa.Row[Any]"]:
    """Yields the rows of a query whose column has one of some values, however many these are."""
    for start in range(0, len(values), _PART):
        yield from connection.execute(query.where(column.in_(values[start : start + _PART])))


def _set_up_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
    connection.isolation_level = None
    settings = (
        f"busy_timeout = {_PATIENCE}",
        "journal_mode = DELETE",  # a log of transactions, left by a kill, would be added to another file put beside it
        "synchronous = EXTRA",  # the journal's end is durable, too
        "fullfsync = ON",
        "secure_delete = ON",
        "foreign_keys = ON",
        "temp_store = MEMORY",
    )
    for setting in settings:
        connection.execute(f"PRAGMA {setting}")


def _set_up_postgresql(connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
    connection.execute(f"SET lock_timeout = '{_PATIENCE}ms'")
    connection.execute("SET synchronous_commit = 'on'")
    connection.commit()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise BooksError(f"the database's driver is missing: {error}; pip install 'fedau2[postgres]'") from error
    except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise BooksError(f"the database cannot be used: {reason}; check it and its disk") from error
