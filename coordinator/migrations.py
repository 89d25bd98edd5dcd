"""Versions of the ledger's schema, and how an older ledger becomes one of this version.

To change the schema, change `tables` and append to `MIGRATIONS` what does the same to a ledger that is there, such as
`add_column(task.c.colour)`. A test holds that both ways lead to one schema.
"""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateColumn

from coordinator.tables import meta, metadata

Migration = Callable[[Connection], None]


def add_table(table: sa.Table) -> Migration:
    """Adds a table."""
    return table.create


def add_column(column: sa.Column[object]) -> Migration:
    """Adds a column; one that is not nullable needs a `server_default` for the rows that are there."""

    def add(connection: Connection) -> None:
        preparer = connection.dialect.identifier_preparer
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(column.table)} ADD COLUMN {definition}")

    return add


MIGRATIONS: tuple[Migration, ...] = (
    add_table(meta),  # 2: ledger and state folder know each other
)
"""The first leads from version 1 to 2, and so on."""

NEW = 0
"""Version of a database that is no ledger yet."""

VERSION = 1 + len(MIGRATIONS)
"""Version that this coordinator works with."""


def version(connection: Connection) -> int:
    """Version of the schema that a database has."""
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
