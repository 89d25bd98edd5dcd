"""The lease of a ledger that several coordinators share: whoever holds it leads, and only the leader writes.

The lease is a lock of one session in PostgreSQL. The server ends a session from which it has heard nothing for the
lease's time, and with it the lock. So no clock of a coordinator counts, and a leader that was stopped, that hangs or
that cannot reach the database has lost the lease by the time another one has it. A leader that hears nothing from the
server for as long gives up too, because a connection may be silent and not broken.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from coordinator.errors import LedgerError, SettingError
from coordinator.store import database, postgresql
from coordinator.store.patience import Patience

_log = logging.getLogger(__name__)

_KEY = 0x46454C44
"""Key of the leader's advisory lock."""

_BEATS = 4
"""Signs of life in the time of a lease."""

_TERM = "fedau2-coordinator term"
"""Name of the sessions in which leaders write, so that a successor can end those of its predecessors."""

_TERMS_END = 3.0
"""Most seconds in which the server waits for the end of a former leader's session."""

LONGEST_ADDRESS = 63
"""Bytes of a session's name, which is the leader's address."""

_HOLDER = sa.text(
    "SELECT application_name, pg_has_role(usesysid, 'USAGE') OR (pg_has_role('pg_signal_backend', 'USAGE') AND NOT "
    "EXISTS (SELECT FROM pg_roles WHERE oid = usesysid AND rolsuper)) AS may_end "
    "FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
    "AND classid = 0 AND objid = :key AND objsubid = 1 AND datname = current_database() "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_TIMELINE = sa.text(
    "SELECT (SELECT system_identifier FROM pg_control_system())::text, left(pg_walfile_name(pg_current_wal_lsn()), 8)"
)
_END_TERMS = sa.text(
    "SELECT pg_terminate_backend(pid, :wait) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name = :name"
)
_MOVE = sa.text(
    "WITH due AS (SELECT FROM commits WHERE number = :commits FOR UPDATE), "
    "moved AS (UPDATE meta SET folder = :new WHERE folder = :old AND EXISTS (SELECT FROM due) RETURNING folder) "
    "UPDATE commits SET number = number + 1 WHERE EXISTS (SELECT FROM moved) RETURNING number"
)


class Lease:
    """One coordinator's way to the lease. Its methods may be called from any thread.

    Args:
        url: SQLAlchemy URL of the ledger, in PostgreSQL.
        address: where the other coordinators reach this one; at most `LONGEST_ADDRESS` bytes.
        seconds: after which the server gives up a leader from which it hears nothing, and the leader the server.

    Attributes:
        leads: this coordinator has been given the lease.

    Raises:
        LedgerError: the URL is not one of PostgreSQL.
    """

    def __init__(self, url: str, address: str, seconds: float) -> None:
        self.leads = False
        self._address, self._seconds = address, seconds
        self._lock, self._over = threading.Lock(), threading.Event()
        self._connection: Connection | None = None
        with database.failures():
            parsed = database.parse(url)
            if parsed.get_backend_name() != "postgresql":
                raise LedgerError("several coordinators can share a ledger in PostgreSQL only")
            patient = {"tcp_user_timeout": f"{seconds * 1000:.0f}", "keepalives_idle": "5", "connect_timeout": "10"}
            parsed = parsed.update_query_dict(patient)  # a server that vanished is noticed within the lease's time
            self._term = parsed.update_query_dict({"application_name": _TERM})
            driven = parsed.set(drivername="postgresql+psycopg")
            self._engine = sa.create_engine(
                driven, hide_parameters=True, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
            )
        event.listen(self._engine, "connect", self._set_up)
        # The answer before came a beat earlier at most, so the whole silence is as long as the lease.
        self._patience = Patience(self._engine, seconds * (_BEATS - 1) / _BEATS)

    @property
    def term_url(self) -> str:
        """The URL with which the leader opens the ledger."""
        return self._term.render_as_string(hide_password=False)

    def _set_up(self, connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
        milliseconds = str(max(1, round(self._seconds * 1000)))
        if connection.info.server_version < 140000:
            raise LedgerError("several coordinators can share a ledger in PostgreSQL 14 or newer only")
        if connection.execute("SELECT pg_is_in_recovery()").fetchone()[0]:
            raise LedgerError(
                "this server of PostgreSQL is a replica, which cannot be written: let the URL name all servers and end "
                "with ?target_session_attrs=read-write"
            )
        connection.execute("SELECT set_config('application_name', %s, false)", (self._address,))
        connection.execute("SELECT set_config('idle_session_timeout', %s, false)", (milliseconds,))
        postgresql.make_durable(connection)
        connection.commit()

    def seek(self) -> str:
        """Takes the lease if nobody has it; `leads` says so then.

        Returns:
            The address of the leader, which may be this coordinator; empty: it has changed this moment.

        Raises:
            LedgerError: the database does not answer. The next call connects anew.
            SettingError: this coordinator could not take over from the leader, because of their roles in PostgreSQL.
        """
        ((self.leads,),) = self._ask(sa.text("SELECT pg_try_advisory_lock(:key)"), key=_KEY)
        if self.leads:
            return self._address
        for holder in self._ask(_HOLDER, key=_KEY):
            if not holder.may_end:
                raise SettingError(
                    "the leading coordinator has a role in PostgreSQL whose sessions this one's role may not end, so "
                    "this one could not take over: let all coordinators use one role, or make each role a member of "
                    "the others"
                )
            return str(holder.application_name)
        return ""

    def keep(self, lost: Callable[[], object]) -> None:
        """Gives signs of life from now on, on a thread of its own.

        Args:
            lost: is called on that thread once the lease is lost.
        """
        threading.Thread(target=self._beat, args=(lost,), name="coordinator-lease", daemon=True).start()

    def _beat(self, lost: Callable[[], object]) -> None:
        while not self._over.wait(self._seconds / _BEATS):
            try:
                self.expect()
            except LedgerError:
                if not self._over.is_set():
                    lost()
                return

    def expect(self) -> None:
        """Returns if this coordinator has the lease, and gives a sign of life.

        Raises:
            LedgerError: the lease is lost.
        """
        self._ask(sa.text("SELECT 1"))

    def end_former_terms(self) -> None:
        """Ends the sessions in which former leaders write. Each of their commits has then happened or never will.

        Raises:
            LedgerError: the lease is lost.
        """
        if self._ask(_END_TERMS, name=_TERM, wait=round(1000 * min(_TERMS_END, self._seconds / 2))):
            _log.warning("the session of a former leader was ended")

    def home(self) -> str:
        """Reads the id of the state folder that the ledger belongs to, while this coordinator has the lease.

        Raises:
            LedgerError: the lease is lost.
        """
        ((folder,),) = self._ask(sa.text("SELECT folder FROM meta"))
        return str(folder)

    def timeline(self) -> tuple[str, int]:
        """Reads the id of the server, which its replicas share, and its timeline, which grows when one is promoted.

        Raises:
            LedgerError: the lease is lost.
        """
        (row,) = self._ask(_TIMELINE)
        server, timeline = map(str, row)
        return server, int(timeline, 16)

    def move(self, old: str, new: str, commits: int) -> None:
        """Lets the ledger belong to another state folder, in one transaction that counts itself.

        Args:
            old: id of the folder that it belongs to.
            new: id of the other.
            commits: transactions of the ledger so far.

        Raises:
            LedgerError: the lease is lost, or somebody else has written to the ledger. Nothing was changed.
        """
        if not self._ask(_MOVE, old=old, new=new, commits=commits):
            raise LedgerError("the ledger was changed by somebody else while this coordinator took the lead")

    def close(self) -> None:
        """Gives the lease back, if this coordinator has it."""
        self._over.set()
        with self._lock:
            self._let_go()

    def _ask(self, query: sa.TextClause, **values: object) -> Sequence[sa.Row[Any]]:
        with self._lock:  # nobody waits for it without end, because every answer has a limit
            try:
                with self._patience.limited(), database.failures():
                    if self._connection is None:
                        if self.leads:
                            raise LedgerError("the session with the lease has ended")
                        self._connection = self._engine.connect()
                    return self._connection.execute(query, values).all()
            except Exception:
                self._let_go()
                raise

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
