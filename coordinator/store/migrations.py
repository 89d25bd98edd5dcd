"""Versions of the ledger's schema, and the steps that bring an older ledger to this version.

To change the schema, change `tables` and append to `MIGRATIONS` a step that makes the same change to an existing
ledger, such as `add_column(task.c.colour, 0)`. A test holds that both ways lead to one schema.
"""

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateColumn

from coordinator.store.tables import (
    admission_issue,
    admission_key,
    assignment,
    commits,
    kept_model,
    meta,
    metadata,
    one_open_task,
    opening,
    rollback_history,
    round_attempt,
    seen_log,
    task,
    task_history,
)

T = TypeVar("T")
Migration = Callable[[Connection], None]


def add_table(table: sa.Table) -> Migration:
    """Makes a migration that adds a table."""
    return table.create


def add_column(column: sa.Column[T], value: T | None) -> Migration:
    """Makes a migration that adds a nullable column and sets it in the existing rows."""

    def add(connection: Connection) -> None:
        table = connection.dialect.identifier_preparer.format_table(column.table)
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {definition}")
        connection.execute(sa.update(column.table).values({column: value}))

    return add


def replace_index(old: str, new: sa.Index) -> Migration:
    """Makes a migration that drops an index by its name and makes another."""

    def replace(connection: Connection) -> None:
        connection.exec_driver_sql(f"DROP INDEX {connection.dialect.identifier_preparer.quote(old)}")
        new.create(connection)

    return replace


def keep_previous_models(connection: Connection) -> None:
    """Keeps the model before each task's newest, as older versions did in columns of the task."""
    names = ["task_id", "round", "checkpoint", "server_state", "encoded"]
    before = (task.c.previous_checkpoint, task.c.previous_server_state, sa.literal(b"", sa.LargeBinary))
    previous = (task.c.task_id, task.c.round - 1, *before)
    connection.execute(sa.insert(kept_model).from_select(names, sa.select(*previous).where(task.c.round > 0)))


def together(*migrations: Migration) -> Migration:
    """Makes one migration of several, which lead from one version to the next."""

    def migrate_all(connection: Connection) -> None:
        for migration in migrations:
            migration(connection)

    return migrate_all


MIGRATIONS: tuple[Migration, ...] = (
    # 2: ledger and state folder know each other; tasks can be paused and can require versions of the SDK.
    together(
        add_table(meta),
        add_table(task_history),
        add_column(task.c.versions, b""),
        replace_index("one_running_task", one_open_task),
    ),
    # 3: commits are counted, so that a ledger that lost some is known; numbers of rounds can be skipped.
    together(add_table(commits), add_column(task.c.skipped, 0)),
    # 4: tasks keep older models, to which they can be put back, and the norms of a round's contributions;
    # checkpoints can be offered in a smaller encoding too.
    together(
        add_table(kept_model),
        keep_previous_models,
        add_table(rollback_history),
        add_column(task.c.norms, b""),
        add_column(round_attempt.c.norms, None),
        add_column(task.c.encoding, 0),
        add_column(task.c.encoded, b""),
    ),
    # 5: unmaskers open the sums of rounds.
    together(add_table(opening), add_table(seen_log)),
    # 6: admissions to rounds are issued once for each identity, and spent.
    together(add_table(admission_key), add_table(admission_issue), add_column(assignment.c.admission, b"")),
)
"""The migrations; the first leads from version 1 to 2, and so on."""

JOINED = 2
"""The first version that names its state folder."""

WITNESSED = 3
"""The first version whose commits are counted."""

KEPT = 4
"""The first version with a table of kept models."""

OPENED = 5
"""The first version with a table of opened sums."""

ADMITTED = 6
"""The first version that knows admissions to rounds."""

NEW = 0
"""Version of a database that is not a ledger yet."""

VERSION = 1 + len(MIGRATIONS)
"""The version that this coordinator works with."""


def version(connection: Connection) -> int:
    """Reads the version of the schema that a database has."""
    names = set(sa.inspect(connection).get_table_names())
    if meta.name in names:
        return int(connection.execute(sa.select(meta.c.version)).scalar_one())
    return 1 if names & metadata.tables.keys() else NEW


def migrate(connection: Connection, old: int) -> None:
    """Brings the schema from an old version to `VERSION`."""
    if old == NEW:
        metadata.create_all(connection)
    else:
        for migration in MIGRATIONS[old - 1 :]:
            migration(connection)
