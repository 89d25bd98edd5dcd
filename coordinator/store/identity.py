"""The identity of a ledger: the version of its schema, its state folder, and its commits."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coordinator.errors import LedgerError
from coordinator.store import migrations
from coordinator.store.tables import commits, meta


@dataclass(frozen=True)
class Identity:
    """The facts that a ledger states of itself.

    Attributes:
        version: version of its schema.
        folder: id of the state folder that it belongs to; None: it belongs to no folder yet.
        commits: transactions so far.
    """

    version: int
    folder: str | None
    commits: int


def read(connection: Connection) -> Identity:
    """Reads the identity of a ledger of any version.

    Raises:
        LedgerError: it is of a newer version.
    """
    version = migrations.version(connection)
    if version > migrations.VERSION:
        raise LedgerError(
            f"the ledger has schema version {version}, made by a newer fedau2-coordinator; this one works with version "
            f"{migrations.VERSION}: update it"
        )
    folder = str(connection.execute(sa.select(meta.c.folder)).scalar_one()) if version >= migrations.JOINED else None
    number = connection.execute(sa.select(commits.c.number)).scalar_one() if version >= migrations.WITNESSED else 0
    if not isinstance(number, int):
        raise LedgerError(
            "the ledger does not count its commits: restore it together with the state folder from a copy"
        )
    return Identity(version, folder, number)
