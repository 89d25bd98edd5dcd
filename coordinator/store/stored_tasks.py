"""Tasks in the ledger's tables: a row of `task` with its rows of `kept_model`. Old ledgers can be read too."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coordinator.store import migrations, transitions
from coordinator.store.tables import kept_model as kept_table
from coordinator.store.tables import opening as opening_table
from coordinator.store.tables import round_attempt
from coordinator.store.tables import task as task_table
from coordinator.store.task_rows import KeptModel, Opening, TaskRow, kept_model, task_row
from fedau2.v1.admin_pb2 import ROUND_STATE_AGGREGATING

_OLD = ("previous_checkpoint", "previous_server_state")
"""Columns that no longer mean anything, see `tables`."""


def read(connection: Connection, version: int, task_id: str | None = None) -> list[TaskRow]:
    """Reads tasks, oldest first.

    Args:
        connection: to the ledger.
        version: of the ledger's schema. Columns that it lacks have their defaults.
        task_id: the only task to read; None: all.

    Raises:
        LedgerError: a row is damaged.
    """
    names = {column["name"] for column in sa.inspect(connection).get_columns(task_table.name)} - {*_OLD}
    query = sa.select(*(column for column in task_table.c if column.name in names))
    query = query.order_by(task_table.c.created, task_table.c.task_id)
    if task_id is not None:
        query = query.where(task_table.c.task_id == task_id)
    kept = _kept(connection, task_id) if version >= migrations.KEPT else {}
    openings = _openings(connection) if version >= migrations.OPENED else {}
    rows = connection.execute(query).all()
    return [
        task_row({**row._asdict(), "kept": tuple(kept.get(row.task_id, ())), "opening": openings.get(row.task_id)})
        for row in rows
    ]


def _openings(connection: Connection) -> dict[str, Opening]:
    """Reads the sums of the rounds that are being aggregated, by task."""
    columns = opening_table.c
    query = sa.select(columns.task_id, columns.members, columns.withheld, columns.masks).join(round_attempt)
    rows = connection.execute(query.where(round_attempt.c.state == ROUND_STATE_AGGREGATING))
    return {row.task_id: Opening(row.members, row.withheld, row.masks) for row in rows}


def _kept(connection: Connection, task_id: str | None) -> dict[str, list[KeptModel]]:
    query = sa.select(kept_table).order_by(kept_table.c.round)
    if task_id is not None:
        query = query.where(kept_table.c.task_id == task_id)
    kept: dict[str, list[KeptModel]] = {}
    for row in connection.execute(query):
        kept.setdefault(row.task_id, []).append(kept_model(row.round, row.checkpoint, row.server_state, row.encoded))
    return kept


def insert(connection: Connection, row: TaskRow) -> None:
    """Stores a new task, which keeps no older model yet."""
    connection.execute(sa.insert(task_table), _columns(row))


def replace(connection: Connection, old: TaskRow, new: TaskRow, at: float) -> None:
    """Changes a task.

    Raises:
        LedgerError: its state or its number of rounds is not the old one.
    """
    transitions.replace_task(connection, _columns(old), _columns(new), at)
    _keep(connection, old.task_id, old.kept, new.kept)


def _columns(row: TaskRow) -> Mapping[str, Any]:
    values = {name: value for name, value in vars(row).items() if name not in ("kept", "opening")}
    return {**values, **dict(zip(_OLD, (row.checkpoint, row.server_state), strict=True))}


def _keep(connection: Connection, task_id: str, old: tuple[KeptModel, ...], new: tuple[KeptModel, ...]) -> None:
    for model in old:
        if model not in new:
            key = (kept_table.c.task_id == task_id, kept_table.c.round == model.round)
            connection.execute(sa.delete(kept_table).where(*key))
    for model in new:
        if model not in old:
            connection.execute(sa.insert(kept_table), {"task_id": task_id, **vars(model)})
