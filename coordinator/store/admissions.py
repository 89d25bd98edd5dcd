"""The keys with which admissions to rounds are signed, and the identities that have had one, in the ledger."""

from dataclasses import dataclass

import sqlalchemy as sa

from coordinator.store import task_life
from coordinator.store.ledger import Ledger
from coordinator.store.tables import admission_issue, admission_key

Round = tuple[str, int]
"""A task and the number of a round."""


@dataclass(frozen=True)
class AdmissionBook:
    """Keys and identities, as long as their round is open.

    Attributes:
        ledger: holds them.
    """

    ledger: Ledger

    def key(self, of: Round) -> bytes | None:
        """Returns the private key of a round; None: it has none yet."""
        query = sa.select(admission_key.c.key).where(*_this(admission_key, of))
        return next((bytes(row.key) for row in self.ledger.rows(query)), None)

    def keep(self, of: Round, key: bytes) -> bytes:
        """Gives an open round its private key, unless it has one; returns its key.

        The key of a round that has ended meanwhile is returned and not kept.
        """
        held, row = self.key(of), self.ledger.task(of[0])
        if held is not None or not row.open or row.round != of[1]:
            return held or key
        with self.ledger.transaction(lasting=True) as connection:
            task_life.forget_admissions(connection, of[0])
            connection.execute(sa.insert(admission_key), {"task_id": of[0], "round": of[1], "key": key})
        return key

    def issue(self, of: Round, holder: bytes, blinded: bytes) -> bool | None:
        """Notes that an identity is given its admission to a round.

        Args:
            of: the round.
            holder: keyed hash of the identity.
            blinded: hash of the blinded message.

        Returns:
            False if it has been given another one before; None if the round is over.
        """
        if self.key(of) is None:
            return None
        query = sa.select(admission_issue.c.blinded).where(
            *_this(admission_issue, of), admission_issue.c.holder == holder
        )
        for row in self.ledger.rows(query):
            return bytes(row.blinded) == blinded
        columns = {"task_id": of[0], "round": of[1], "holder": holder, "blinded": blinded}
        with self.ledger.transaction(lasting=True) as connection:
            connection.execute(sa.insert(admission_issue), columns)
        return True


def _this(table: sa.Table, of: Round) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.task_id == of[0], table.c.round == of[1]
