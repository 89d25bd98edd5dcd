"""The sessions of a ledger in PostgreSQL: their URL, the lock that keeps others from writing, commits that last."""

import re
from typing import Any
from urllib.parse import quote

from coordinator.errors import FolderLockedError, LedgerError

_LOCK = 0x46454441
"""Key of the advisory lock in PostgreSQL, which every coordinator uses."""

_LOCK_TIMEOUT = "55P03"
"""PostgreSQL's SQLSTATE lock_not_available."""


_HOSTS = re.compile(r"(?P<start>postgresql(?:\+psycopg)?://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>[/?].*|)")
"""A URL of PostgreSQL with several hosts."""


def one_host(url: str) -> str:
    """Writes a URL with several hosts as SQLAlchemy reads them; returns any other URL as it is.

    >>> one_host("postgresql://fedau2@one:5432,two:5433/ledger?target_session_attrs=read-write")
    'postgresql://fedau2@/ledger?host=one%3A5432&host=two%3A5433&target_session_attrs=read-write'

    Raises:
        LedgerError: an address of IPv6 is among them, which SQLAlchemy cannot read there.
    """
    if (parts := _HOSTS.fullmatch(url)) is None:
        return url
    if "[" in parts["hosts"]:
        raise LedgerError("several hosts of PostgreSQL are named by names or by addresses of IPv4")
    path, _, query = parts["rest"].partition("?")
    hosts = [f"host={quote(host, safe='')}" for host in parts["hosts"].split(",")]
    return f"{parts['start']}{path or '/'}?{'&'.join([*hosts, *filter(None, [query])])}"


def set_up(connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
    """Prepares a new session: it holds the lock of the ledger, and its commits last.

    Raises:
        FolderLockedError: another coordinator uses the ledger.
    """
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
    make_durable(connection)
    connection.commit()


def make_durable(connection: Any) -> None:  # noqa: ANN401 - a DB-API connection
    """Has the commits of a session of PostgreSQL last, whatever the server's settings say."""
    off = "current_setting('synchronous_commit') = 'off'"
    connection.execute(f"SELECT set_config('synchronous_commit', 'on', false) WHERE {off}")
