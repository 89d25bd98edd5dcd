"""The ledger: what tasks, rounds and assignments are, durably (design section 7)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from coordinator import transitions
from coordinator.errors import LedgerError
from coordinator.log import Location
from coordinator.tables import OPEN_STATES, assignment, metadata, round_attempt, task
from coordinator.transitions import Entry
from fedau2.v1.admin_pb2 import (
    ROUND_STATE_ABANDONED,
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_COLLECTING,
    ROUND_STATE_COMMITTED,
    TASK_STATE_FINISHED,
    TASK_STATE_UNSPECIFIED,
    AssignmentState,
    RoundState,
    TaskState,
)


@dataclass(frozen=True)
class TaskRow:
    """A task as it is stored.

    Hashes address blobs; `closing` is a serialised `ClosingRule`, `versions` a serialised `ClientVersions`.
    """

    task_id: str
    population: str
    state: TaskState.ValueType
    created: float
    rounds: int
    round: int
    manifest: bytes
    closing: bytes
    checkpoint: bytes
    server_state: bytes
    previous_checkpoint: bytes
    previous_server_state: bytes
    versions: bytes = b""

    @property
    def open(self) -> bool:
        """Whether the task has an open round: it is neither finished nor stopped."""
        return self.state in OPEN_STATES

    def committed(self, checkpoint: bytes, server_state: bytes) -> "TaskRow":
        """The row after its open round has been committed with this outcome."""
        last = self.round + 1 == self.rounds
        return replace(
            self,
            state=TASK_STATE_FINISHED if last else self.state,
            round=self.round + 1,
            checkpoint=checkpoint,
            server_state=server_state,
            previous_checkpoint=self.checkpoint,
            previous_server_state=self.server_state,
        )


@dataclass(frozen=True)
class RoundRow:
    """The newest attempt of a round."""

    attempt: int
    state: RoundState.ValueType
    opened: float


@dataclass(frozen=True)
class AssignmentRow:
    """An assignment as it is stored; hash and location are there if it is reported."""

    assignment_id: bytes
    task_id: str
    state: AssignmentState.ValueType
    deadline: float
    sha256: bytes
    location: Location | None


class Ledger:
    """The ledger in a database.

    Args:
        url: of SQLAlchemy, for example `sqlite:///ledger.sqlite`.

    Raises:
        LedgerError: there is no such database, or it cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sa.create_engine(url, hide_parameters=True)
            if self._engine.dialect.name == "sqlite":
                event.listen(self._engine, "connect", _configure_sqlite)
            metadata.create_all(self._engine)
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise LedgerError(f"the ledger cannot be opened: {error}") from error

    def close(self) -> None:
        """Closes the connections."""
        self._engine.dispose()

    def tasks(self) -> list[TaskRow]:
        """All tasks, oldest first."""
        query = sa.select(task).order_by(task.c.created, task.c.task_id)
        return [TaskRow(**row._mapping) for row in self._rows(query)]

    def open_round(self, task_id: str, number: int) -> RoundRow:
        """The newest attempt of a round.

        Raises:
            LedgerError: there is no such round.
        """
        columns = round_attempt.c
        query = sa.select(columns.attempt, columns.state, columns.opened).order_by(columns.attempt.desc()).limit(1)
        rows = self._rows(query.where(columns.task_id == task_id, columns.round == number))
        if not rows:
            raise LedgerError(f"the ledger has no round {number} of task {task_id}")
        return RoundRow(**rows[0]._mapping)

    def assignments(self, task_id: str, number: int) -> list[AssignmentRow]:
        """The assignments of a round."""
        query = sa.select(assignment).where(assignment.c.task_id == task_id, assignment.c.round == number)
        return [_assignment(row) for row in self._rows(query)]

    def assignment(self, assignment_id: bytes) -> AssignmentRow | None:
        """One assignment of any round."""
        query = sa.select(assignment).where(assignment.c.assignment_id == assignment_id)
        return next(map(_assignment, self._rows(query)), None)

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    def create_task(self, row: TaskRow) -> None:
        """Stores a task and opens its first round."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(task), asdict(row))
            transitions.remember_task(connection, row.task_id, TASK_STATE_UNSPECIFIED, row.state, row.created)
            transitions.open_attempt(connection, (row.task_id, 0, 0), row.created)

    def write(self, entries: Sequence[Entry]) -> None:
        """Makes effects durable in one transaction.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        with self._engine.begin() as connection:
            transitions.write(connection, entries)

    def commit(self, old: TaskRow, attempt: int, new: TaskRow, at: float) -> None:
        """Commits a round, ends its leases, and opens the next or finishes the task: one transaction.

        Args:
            old: the task as it is stored.
            attempt: the attempt that is being aggregated.
            new: `old.committed(...)`.
            at: now, in seconds.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        outcome = {"checkpoint": new.checkpoint, "server_state": new.server_state}
        with self._engine.begin() as connection:
            key = (old.task_id, old.round, attempt)
            transitions.move_round(connection, key, ROUND_STATE_AGGREGATING, ROUND_STATE_COMMITTED, at, outcome)
            transitions.expire_leases(connection, old.task_id, old.round, at)
            transitions.replace_task(connection, asdict(old), asdict(new), at)
            if new.open:
                transitions.open_attempt(connection, (new.task_id, new.round, 0), at)

    def change_state(self, old: TaskRow, new: TaskRow, at: float) -> None:
        """Moves an open task from one state to another; one that is over ends its open round and the leases.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        key = (old.task_id, old.round, self.open_round(old.task_id, old.round).attempt)
        with self._engine.begin() as connection:
            transitions.replace_task(connection, asdict(old), asdict(new), at)
            if not new.open:
                transitions.move_round(connection, key, ROUND_STATE_COLLECTING, ROUND_STATE_ABANDONED, at)
                transitions.expire_leases(connection, old.task_id, old.round, at)


def _configure_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401 - a DB-API connection
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")


def _assignment(row: sa.Row[Any]) -> AssignmentRow:
    location = None if row.segment is None else Location(row.segment, row.offset, row.length)
    return AssignmentRow(row.assignment_id, row.task_id, row.state, row.deadline, row.sha256 or b"", location)
