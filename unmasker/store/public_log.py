"""The public log in the database. Every entry is kept with the signature of the head that ends there."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fedau2.v1.unmasker_pb2 import LogEntry, LogHead
from fedau2.wire.identity import log
from unmasker.errors import ShortLogError
from unmasker.store.keys import Keys
from unmasker.store.tables import log_entry

AT_ONCE = 256
"""Most entries that are read at a time."""


def head(connection: Connection, keys: Keys) -> LogHead:
    """Returns the newest head."""
    columns = (log_entry.c.number, log_entry.c.hash, log_entry.c.signature)
    row = connection.execute(sa.select(*columns).order_by(log_entry.c.number.desc()).limit(1)).first()
    if row is not None:
        return LogHead(size=row.number + 1, hash=row.hash, signature=row.signature)
    empty = LogHead(hash=log.start(keys.public.identity))
    keys.sign_head(empty)
    return empty


def append(connection: Connection, keys: Keys, entry: LogEntry) -> int:
    """Adds an entry within a transaction that writes, and returns its number."""
    before, data = head(connection, keys), entry.SerializeToString(deterministic=True)
    newest = LogHead(size=before.size + 1, hash=log.extended(before.hash, before.size, data))
    keys.sign_head(newest)
    values = {"number": before.size, "data": data, "hash": newest.hash, "signature": newest.signature}
    connection.execute(sa.insert(log_entry).values(values))
    return before.size


def hash_at(connection: Connection, keys: Keys, size: int) -> bytes:
    """Returns the hash of the log when it had so many entries.

    Raises:
        ShortLogError: it never had.
    """
    if size == 0:
        return log.start(keys.public.identity)
    hash_ = connection.execute(sa.select(log_entry.c.hash).where(log_entry.c.number == size - 1)).scalar()
    if hash_ is None:
        raise ShortLogError(f"the log has fewer than {size} entries")
    return bytes(hash_)


def entries(connection: Connection, first: int, end: int) -> Sequence[bytes]:
    """Returns the entries from number `first` to before `end`, at most `AT_ONCE` of them."""
    chosen = sa.and_(log_entry.c.number >= first, log_entry.c.number < min(end, first + AT_ONCE))
    return list(connection.execute(sa.select(log_entry.c.data).where(chosen).order_by(log_entry.c.number)).scalars())


def has_epoch(connection: Connection) -> bool:
    """Returns True if the log says that a new epoch has begun."""
    every = connection.execute(sa.select(log_entry.c.data)).scalars()
    return any(LogEntry.FromString(data).HasField("epoch") for data in every)
