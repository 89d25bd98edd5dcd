"""The beginning and the end of a task and of its rounds in the ledger, each within the caller's transaction."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coordinator.store import stored_tasks, transitions
from coordinator.store.rows import RoundRow
from coordinator.store.tables import admission_issue, admission_key, assignment
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_ASSIGNED,
    ROUND_STATE_ABANDONED,
    ROUND_STATE_COLLECTING,
    ROUND_STATE_OPENING,
    TASK_STATE_UNSPECIFIED,
)


def begin(connection: Connection, row: TaskRow) -> None:
    """Stores a task and opens its first round."""
    stored_tasks.insert(connection, row)
    transitions.remember_task(connection, row.task_id, TASK_STATE_UNSPECIFIED, row.state, row.created)
    transitions.open_attempt(connection, (row.task_id, 0, 0), row.created)


def end(connection: Connection, old: TaskRow, new: TaskRow, newest: RoundRow, at: float) -> None:
    """Ends an open task before all its rounds are committed, with its open round and the leases.

    Args:
        connection: of the transaction.
        old: the task as it is stored.
        new: the task in the state that ends it.
        newest: newest attempt of the open round.
        at: now, in seconds.

    Raises:
        LedgerError: a row was not in the state that it must be in.
    """
    stored_tasks.replace(connection, old, new, at)
    key = (old.task_id, old.round, newest.attempt)
    state = ROUND_STATE_OPENING if newest.state == ROUND_STATE_OPENING else ROUND_STATE_COLLECTING
    transitions.move_round(connection, key, state, ROUND_STATE_ABANDONED, at)
    end_round(connection, old, at)


def end_round(connection: Connection, row: TaskRow, at: float, most_stale: int = 0) -> None:
    """Ends the leases of a task's open round, which is over, and forgets who was admitted to it.

    Args:
        connection: of the transaction.
        row: the task as it was while the round was open.
        at: now, in seconds.
        most_stale: rounds for which a live lease outlives its own; 0: it ends.
    """
    if most_stale:
        _pass_on(connection, row.task_id, row.round, most_stale)
    transitions.expire_leases(connection, row.task_id, row.round, at)
    forget_admissions(connection, row.task_id)


def _pass_on(connection: Connection, task_id: str, number: int, most_stale: int) -> None:
    """Moves the live leases of a round to the next one, except those that are as stale as leases may be.

    A lease that has been moved has the number of moves in place of an attempt, and below 0.
    """
    outliving = (
        assignment.c.task_id == task_id,
        assignment.c.round == number,
        assignment.c.state == ASSIGNMENT_STATE_ASSIGNED,
        assignment.c.attempt > -most_stale,
    )
    staler = sa.case((assignment.c.attempt < 0, assignment.c.attempt - 1), else_=-1)
    connection.execute(sa.update(assignment).where(*outliving).values(round=number + 1, attempt=staler))


def forget_admissions(connection: Connection, task_id: str) -> None:
    """Removes the key with which admissions to a task's open round are signed, and the identities that had one."""
    for table in (admission_issue, admission_key):
        connection.execute(sa.delete(table).where(table.c.task_id == task_id))
