"""Reads the books: how the unmasker stands, and its public log. Nothing here changes them."""

from collections.abc import Iterator

import sqlalchemy as sa

from fedau2 import __version__
from fedau2.v1.unmasker_pb2 import EnrolmentRules, LogBegin, LogResponse, StatusResponse
from unmasker.errors import ShortLogError
from unmasker.store import budgets, holders, public_log, rounds, sums
from unmasker.store.books import Books
from unmasker.store.tables import meta


def status(books: Books) -> StatusResponse:
    """Says how an unmasker stands.

    Raises:
        BooksError: the database failed.
    """
    with books.reading() as connection:
        return StatusResponse(
            keys=books.keys.public,
            rules=EnrolmentRules.FromString(connection.execute(sa.select(meta.c.rules)).scalar_one()),
            head=public_log.head(connection, books.keys),
            classes=holders.counts(connection, books.clock()),
            revoked=holders.revoked(connection),
            open_rounds=rounds.count(connection),
            version=__version__,
            budget=budgets.current(connection),
            sums=sums.count(connection),
        )


def log_begin(books: Books, first: int) -> LogBegin:
    """Returns the newest head, and the hash of the log before an entry.

    Raises:
        ShortLogError: the log ends before it.
        BooksError: the database failed.
    """
    with books.reading() as connection:
        head = public_log.head(connection, books.keys)
        if first > head.size:
            raise ShortLogError(f"the log has {head.size} entries, and not {first}")
        return LogBegin(head=head, before=public_log.hash_at(connection, books.keys, first))


def log_entries(books: Books, first: int, end: int) -> list[LogResponse]:
    """Returns the log from entry `first` to before `end`, or a part of it from `first` on.

    Raises:
        BooksError: the database failed.
    """
    with books.reading() as connection:
        return [LogResponse(entry=data) for data in public_log.entries(connection, first, end)]


def whole_log(books: Books, first: int = 0) -> Iterator[LogResponse]:
    """Yields what the method `Log` answers.

    Raises:
        ShortLogError: the log ends before the first entry.
        BooksError: the database failed.
    """
    begin = log_begin(books, first)
    yield LogResponse(begin=begin)
    while part := log_entries(books, first, begin.head.size):
        yield from part
        first += len(part)
