"""The ledger's database: SQLite or PostgreSQL, one writing connection, commits that last."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from coordinator.errors import LedgerError
from coordinator.store import postgresql, wal
from coordinator.store.disk import Disk
from coordinator.store.page_sums import PageSums

_FULL = 4 * 2**20
"""Bytes of SQLite's write-ahead log at which it is emptied into the database."""


def sqlite(path: Path) -> sa.URL:
    """Returns the URL of a SQLite file. Its parts are kept apart, because %, ? and # in a text mean something else."""
    return sa.URL.create("sqlite", database=str(path))


def parse(url: sa.URL | str) -> sa.URL:
    """Reads a URL of SQLAlchemy, or one of PostgreSQL, which may name several hosts.

    Raises:
        LedgerError: it is not a URL.
    """
    try:
        with failures():
            return sa.make_url(postgresql.one_host(url) if isinstance(url, str) else url)
    except ValueError as error:
        raise LedgerError("the ledger's database is not a URL: a port is a number from 1 to 65535") from error


class Database:
    """The connections to the ledger's database: one that writes and, in SQLite, one that reads only.

    In PostgreSQL the connection holds an advisory lock: nobody else writes, and the next coordinator waits until the
    server has ended this session. So after a restart, a COMMIT whose answer was lost has happened or never will.

    An existing database in SQLite is opened for reading only, until `open_for_writing`: who finds it damaged leaves it
    as it is. SQLite empties the write-ahead log into the database when its last connection closes, unasked. The reading
    connection, which cannot do that, therefore stays open and is closed last.

    Args:
        url: SQLAlchemy URL of SQLite or PostgreSQL; for a file in SQLite see `sqlite`.
        disk: carries out the commits.

    Raises:
        LedgerError: there is no such database, or it is damaged or cannot be used.
        FolderLockedError: another coordinator uses it.
    """

    def __init__(self, url: sa.URL | str, disk: Disk) -> None:
        self._disk = disk
        with failures():
            self._url = parse(url)
            self._file = file_of(self._url)
            self._sums = None if self._file is None else PageSums(self._file, disk)
            if self._file is not None and self._sums is not None:
                if not self._sums.sealed and not (self._file.exists() and self._file.stat().st_size):
                    _make(self._file)
                self._sums.check()
            self._engine = self._reader = _engine(self._url, read_only=True)

    def open_for_writing(self) -> None:
        """Opens the database for writing too. The sums of its pages are written first, if it has none.

        Raises:
            LedgerError: the database failed.
        """
        if self._file is not None and self._sums is not None and self._engine is self._reader:
            with failures():
                if not self._sums.sealed:
                    self._reader.dispose()
                    _make(self._file)
                    self._sums.accept()
                self._engine = _engine(self._url, read_only=False)
                for engine in (self._engine, self._reader):  # the reader, too, holds SQLite's lock from here on
                    with engine.connect() as connection:
                        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")

    @property
    def sealed(self) -> bool:
        """The database has checksums of its pages. Those of PostgreSQL are its server's affair."""
        return self._sums is None or self._sums.sealed

    def close(self) -> None:
        """Closes the connections. The write-ahead log stays."""
        self._engine.dispose()
        self._reader.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Opens a transaction. It is committed at the end of the block, and undone if the block raises.

        Raises:
            LedgerError: the database failed, or the connection was lost.
        """
        with failures(), self._engine.connect() as connection:
            yield connection
            self._disk.commit(connection)
        if self._file is not None and wal.path_of(self._file).stat().st_size > _FULL:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Empties SQLite's write-ahead log into the database, after writing the sums of the pages in it.

        Raises:
            LedgerError: the database failed.
            OSError: the disk is full or broken. The log stays, and so does everything committed.
        """
        if self._sums is not None:
            self._sums.seal()
            with failures(), self._engine.connect() as connection:
                # Not through SQLAlchemy, which would begin a transaction.
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens a transaction that changes nothing.

        Raises:
            LedgerError: the database failed, or the connection was lost.
        """
        with failures(), self._engine.connect() as connection:
            yield connection

    def rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Returns all rows of a query.

        Raises:
            LedgerError: the database failed, or the connection was lost.
        """
        with self.reading() as connection:
            return connection.execute(query).all()

    def damage(self) -> list[str]:
        """Lists the damage that SQLite finds in itself. PostgreSQL offers its users no such check."""
        if self._engine.dialect.name != "sqlite":
            return []
        with self.reading() as connection:
            return [line for line in connection.exec_driver_sql("PRAGMA integrity_check").scalars() if line != "ok"]


def file_of(url: sa.URL) -> Path | None:
    """Returns the file of a database in SQLite; None: the database is in a server.

    Raises:
        LedgerError: it is a database in SQLite without a file.
    """
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database.startswith((":", "file:")):
        raise LedgerError(f"the ledger must be kept in a file: write sqlite:///PATH, not {url.render_as_string()}")
    return Path(url.database)


def _make(file: Path) -> None:
    """Makes a database in SQLite, or gives one that is there a write-ahead log, which is empty afterwards."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _engine(url: sa.URL, read_only: bool) -> sa.Engine:
    settings = _SETTINGS.get(url.get_backend_name())
    if settings is None:
        raise LedgerError(f"the ledger can be kept in SQLite or PostgreSQL, not in {url.get_backend_name()}")
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    elif read_only:
        url = url.set(database=f"file:{quote(url.database or '')}").update_query_dict({"mode": "ro", "uri": "true"})
        settings = _set_up_reader
    engine = sa.create_engine(url, hide_parameters=True, poolclass=sa.QueuePool, pool_size=1, max_overflow=0)
    event.listen(engine, "connect", settings)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
    connection.isolation_level = None  # the driver would leave changes of the schema out of the transaction
    # Temporary tables in memory, because a file for them cannot be opened while too many are.
    settings = (
        "journal_mode = WAL",
        "synchronous = FULL",
        "fullfsync = ON",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "wal_autocheckpoint = 0",
        "secure_delete = ON",
    )
    for setting in settings:
        connection.execute(f"PRAGMA {setting}")


def _set_up_reader(connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
    connection.isolation_level = None


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


_SETTINGS: dict[str, Callable[[Any, object], None]] = {
    "sqlite": _set_up_sqlite,
    "postgresql": postgresql.set_up,
}


@contextmanager
def failures() -> Iterator[None]:
    """Runs a block that uses a database.

    Raises:
        LedgerError: the database failed.
    """
    try:
        yield
    except ImportError as error:
        raise LedgerError(f"the ledger's driver is missing: {error}; pip install 'fedau2[postgres]'") from error
    except (sa.exc.SQLAlchemyError, sqlite3.Error, UnicodeDecodeError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise LedgerError(
            f"the ledger cannot be used: {reason}; check the database and its disk. If it is damaged, restore it "
            "together with the state folder from a copy"
        ) from error
