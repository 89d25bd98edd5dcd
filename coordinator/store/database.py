"""The ledger's database: SQLite or PostgreSQL, one connection, commits that last."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from coordinator.errors import FolderLockedError, LedgerError
from coordinator.store.disk import Disk

_LOCK = 0x46454441
"""Key of the advisory lock in PostgreSQL, which every coordinator uses."""

_LOCK_TIMEOUT = "55P03"
"""PostgreSQL's SQLSTATE lock_not_available."""


def sqlite(path: Path) -> sa.URL:
    """Returns the URL of a SQLite file. Its parts are kept apart, because %, ? and # in a text mean something else."""
    return sa.URL.create("sqlite", database=str(path))


def parse(url: sa.URL | str) -> sa.URL:
    """Reads a SQLAlchemy URL.

    Raises:
        LedgerError: it is not a URL.
    """
    with _failures():
        return sa.make_url(url)


class Database:
    """One connection to the ledger's database.

    In PostgreSQL that connection holds an advisory lock: nobody else writes, and the next coordinator waits until the
    server has ended this session. So after a restart, a COMMIT whose answer was lost has happened or never will.

    Args:
        url: SQLAlchemy URL of SQLite or PostgreSQL; for a file in SQLite see `sqlite`.
        disk: carries out the commits.

    Raises:
        LedgerError: there is no such database, or it cannot be used.
        FolderLockedError: another coordinator uses it.
    """

    def __init__(self, url: sa.URL | str, disk: Disk) -> None:
        self._disk = disk
        with _failures():
            self._engine = _engine(parse(url))

    def close(self) -> None:
        """Closes the connection."""
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Opens a transaction. It is committed at the end of the block, and undone if the block raises.

        Raises:
            LedgerError: the database failed, or the connection was lost.
        """
        with _failures(), self._engine.connect() as connection:
            yield connection
            self._disk.commit(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens a transaction that changes nothing.

        Raises:
            LedgerError: the database failed, or the connection was lost.
        """
        with _failures(), self._engine.connect() as connection:
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


def _engine(url: sa.URL) -> sa.Engine:
    settings = _SETTINGS.get(url.get_backend_name())
    if settings is None:
        raise LedgerError(f"the ledger can be kept in SQLite or PostgreSQL, not in {url.get_backend_name()}")
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
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
    )
    for setting in settings:
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _set_up_postgresql(connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
    try:
        # The session of a killed coordinator ends as soon as the server notices; that of a running one does not end.
        connection.execute("SET lock_timeout = '3s'")
        connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
    except Exception as error:
        if getattr(error, "sqlstate", None) != _LOCK_TIMEOUT:
            raise
        raise FolderLockedError(
            "the ledger is used by another coordinator; give each a database of its own, or end the session that "
            "holds the advisory lock (pg_locks, pg_terminate_backend)"
        ) from error
    connection.execute("RESET lock_timeout")
    off = "current_setting('synchronous_commit') = 'off'"
    connection.execute(f"SELECT set_config('synchronous_commit', 'on', false) WHERE {off}")
    connection.commit()


_SETTINGS: dict[str, Callable[[Any, object], None]] = {
    "sqlite": _set_up_sqlite,
    "postgresql": _set_up_postgresql,
}


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise LedgerError(f"the ledger's driver is missing: {error}; pip install 'fedau2[postgres]'") from error
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise LedgerError(
            f"the ledger cannot be used: {reason}; check the database and its disk. If it is damaged, restore it "
            "together with the state folder from a copy"
        ) from error
