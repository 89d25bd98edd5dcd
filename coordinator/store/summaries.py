"""The rounds of a task, as the ledger's rows sum them up."""

import sqlalchemy as sa

from coordinator.store.database import Database
from coordinator.store.rows import RoundSummary, round_row
from coordinator.store.tables import assignment, round_attempt, round_history
from fedau2.v1.admin_pb2 import ROUND_STATE_COMMITTED


def summaries(database: Database, task_id: str, first: int, limit: int) -> list[RoundSummary]:
    """Reads the rounds of a task from `first` on, oldest first, at most `limit`."""
    columns = round_attempt.c
    query = sa.select(columns.round, columns.attempt, columns.state, columns.opened, columns.checkpoint, columns.norms)
    newest = query.where(*_of(round_attempt, task_id, first, limit)).order_by(columns.attempt)
    ends = _ends(database, task_id, first, limit)
    counts = _counts(database, task_id, first, limit)
    # Later attempts of a round replace earlier ones.
    rows = {row.round: row for row in database.rows(newest)}
    return [
        RoundSummary(
            row.round,
            round_row(row.attempt, row.state, row.opened),
            ends.get(row.round),
            row.checkpoint or b"",
            counts.get(row.round, {}),
            row.norms or b"",
        )
        for row in (rows[number] for number in sorted(rows))
    ]


def _ends(database: Database, task_id: str, first: int, limit: int) -> dict[int, float]:
    columns = round_history.c
    query = sa.select(columns.round, columns.at).where(columns.new == ROUND_STATE_COMMITTED)
    return {row.round: row.at for row in database.rows(query.where(*_of(round_history, task_id, first, limit)))}


def _counts(database: Database, task_id: str, first: int, limit: int) -> dict[int, dict[int, int]]:
    columns = assignment.c
    grouped = sa.select(columns.round, columns.state, sa.func.count().label("number"))
    query = grouped.where(*_of(assignment, task_id, first, limit)).group_by(columns.round, columns.state)
    counts: dict[int, dict[int, int]] = {}
    for row in database.rows(query):
        counts.setdefault(row.round, {})[row.state] = row.number
    return counts


def _of(table: sa.Table, task_id: str, first: int, limit: int) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.task_id == task_id, table.c.round >= first, table.c.round < first + limit
