"""The books: the database with its epoch. Every transaction that writes is made here, and counted."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fedau2.v1.unmasker_pb2 import EnrolmentRules, EpochBegun, LogEntry, LogHead
from unmasker.errors import BooksError, FolderError, ShortLogError
from unmasker.store import public_log
from unmasker.store.database import MOST, Database
from unmasker.store.epoch import Epoch
from unmasker.store.keys import Keys
from unmasker.store.state_folder import StateFolder
from unmasker.store.tables import VERSION, later_epoch, lost_head, meta, metadata, task_round
from unmasker.store.witness import Witness

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """A transaction that writes.

    Attributes:
        connection: its connection.
        keys: the lasting keys.
        epoch: the epoch that is now.
        now: seconds since 1970.
    """

    connection: Connection
    keys: Keys
    epoch: Epoch
    now: int

    def log(self, entry: LogEntry) -> int:
        """Adds an entry to the public log, with the time, and returns its number."""
        entry.time = self.now
        return public_log.append(self.connection, self.keys, entry)


class Books:
    """The books of one unmasker.

    Args:
        folder: its state folder.
        url: URL of the database; None: SQLite in the folder.
        clock: seconds since 1970.

    Raises:
        FolderError: the folder cannot be used.
        BooksError: the database cannot be used, or is not this unmasker's.
    """

    def __init__(self, folder: StateFolder, url: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self.folder, self.keys, self.clock = folder, folder.keys(), clock
        self._database = Database(folder.database(url))
        try:
            self._check_file()
            self._check()
        except BaseException:
            self.close()
            raise

    @classmethod
    def make(cls, folder: StateFolder, url: str | None = None, clock: Callable[[], float] = time.time) -> "Books":
        """Makes a folder with new keys, and the tables in an empty database.

        Raises:
            FolderError: the folder is not empty.
            BooksError: the database is not empty, or cannot be used.
        """
        if url is not None:
            _expect_empty(url)
        keys, database = folder.make(), Database(folder.database(url))
        try:
            with database.writing() as connection:
                metadata.create_all(connection)
                begun = Epoch.make(folder)
                values = {"version": VERSION, "identity": keys.public.identity, "epoch": begun.id, "commits": 0}
                rules = EnrolmentRules().SerializeToString()
                today = int(clock()) // 86400
                connection.execute(sa.insert(meta).values(**values, rules=rules, day=today - 1))
                public_log.append(connection, keys, LogEntry(time=int(clock()), keys=keys.public))
                noted = _noted(connection, keys, 0)
            noted.write(folder)
        finally:
            database.close()
        return cls(folder, url, clock)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    @contextmanager
    def writing(self) -> Iterator[Page]:
        """Opens a transaction, in a new epoch if the database is another than it was. It is durable at the end.

        Raises:
            BooksError: the database failed; nothing was changed.
            FolderError: the state folder failed; nothing is to be answered.
        """
        try:
            with self._database.writing() as connection:
                row = connection.execute(sa.select(meta.c.epoch, meta.c.commits)).one()
                page = Page(connection, self.keys, self._settled(connection, row.epoch, row.commits), int(self.clock()))
                if page.epoch.id != row.epoch:
                    _begin(page)
                yield page
                connection.execute(sa.update(meta).values(commits=row.commits + 1))
                self._database.count(connection, row.commits + 1)
                noted = _noted(connection, self.keys, row.commits + 1)
            noted.write(self.folder)
        except OSError as error:
            raise FolderError(f"the state folder {self.folder.path} failed: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens a transaction that changes nothing.

        Raises:
            BooksError: the database failed.
        """
        with self._database.reading() as connection:
            yield connection

    def copy(self, path: Path) -> None:
        """Copies SQLite's database into a new file, durably. Transactions go on meanwhile.

        Raises:
            BooksError: the database is PostgreSQL, it failed, or the file is there already or cannot be written.
        """
        self._database.copy(path)

    def begin_epoch(self, page: Page, lost: LogHead | None = None) -> Page:
        """Begins a new epoch within a transaction, and returns the transaction in it.

        Args:
            page: the transaction.
            lost: the head that the log does not have, if one has shown that it is time.
        """
        renewed = Page(page.connection, page.keys, Epoch.make(self.folder), page.now)
        _begin(renewed, lost)
        return renewed

    def _settled(self, connection: Connection, recorded: bytes, commits: int) -> Epoch:
        """Returns the folder's epoch, or a new one if the folder or the database was restored from a copy."""
        current = Epoch.read(self.folder)
        if current is not None and current.id != recorded:
            return current  # begun by a transaction that did not end, or the database is another
        if current is None or not self._goes_on(connection, commits):
            _log.warning("the state folder or the database was restored from a copy: a new epoch begins")
            return Epoch.make(self.folder)
        return current

    def _goes_on(self, connection: Connection, commits: int) -> bool:
        """Returns True if a database has all that the witness knows."""
        noted = Witness.read(self.folder)
        if noted is None or noted.commits > commits:
            return False
        try:
            return public_log.hash_at(connection, self.keys, noted.size) == noted.hash
        except ShortLogError:
            return False

    def _check_file(self) -> None:
        """Takes the witness away if SQLite's file is older, so that a new epoch begins."""
        try:
            noted, counted = Witness.read(self.folder), self._database.counted()  # in this order: others may write now
            if noted is not None and counted is not None and counted < noted.commits & MOST:
                self.folder.witness.unlink(missing_ok=True)
        except OSError as error:
            raise FolderError(f"the state folder {self.folder.path} failed: {error}") from error

    def _check(self) -> None:
        empty = "the database has no unmasker's tables: restore it from a copy, or begin with init"
        if self._database.missing:
            raise BooksError(empty)
        with self._database.reading() as connection:
            if not sa.inspect(connection).has_table(meta.name):
                raise BooksError(empty)
            row = connection.execute(sa.select(meta.c.version, meta.c.identity)).one()
        if row.version > VERSION:
            raise BooksError(f"the database has version {row.version}, of a newer fedau2: update this one")
        if row.identity != self.keys.public.identity:
            raise BooksError(f"the database belongs to another unmasker than {self.folder.path}")
        if row.version < VERSION:
            self._upgrade()

    def _upgrade(self) -> None:
        """Makes the tables that an older version does not have."""
        with self._database.writing() as connection:  # before a new epoch may begin, which needs them
            metadata.create_all(connection)
            if public_log.has_epoch(connection):
                current = connection.execute(sa.select(meta.c.epoch)).scalar_one()
                connection.execute(sa.insert(later_epoch).values(epoch=current))
        with self.writing() as page:
            page.connection.execute(sa.update(meta).values(version=VERSION))


def _expect_empty(url: str) -> None:
    with closing(Database(url)) as database, database.reading() as connection:
        if sa.inspect(connection).has_table(meta.name):
            raise BooksError("the database has an unmasker's tables: give each unmasker a database of its own")


def _noted(connection: Connection, keys: Keys, commits: int) -> Witness:
    head = public_log.head(connection, keys)
    return Witness(commits, head.size, head.hash)


def _begin(page: Page, lost: LogHead | None = None) -> None:
    page.connection.execute(sa.update(task_round).values(secret=None))
    page.connection.execute(sa.update(meta).values(epoch=page.epoch.id))
    page.connection.execute(sa.insert(later_epoch).values(epoch=page.epoch.id))
    page.log(LogEntry(epoch=EpochBegun(epoch=page.epoch.id, lost=lost)))
    if lost is not None:
        page.connection.execute(sa.insert(lost_head).values(hash=lost.hash))
