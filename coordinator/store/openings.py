"""The sums that unmaskers have opened, in the ledger."""

from dataclasses import dataclass

import sqlalchemy as sa

from coordinator.store import stored_tasks, task_life, transitions
from coordinator.store.ledger import Ledger
from coordinator.store.tables import opening, round_history, seen_log
from coordinator.store.task_rows import Opening, TaskRow
from fedau2.v1.admin_pb2 import (
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_OPENING,
    ROUND_STATE_SKIPPED,
)


@dataclass(frozen=True)
class Openings:
    """The steps of rounds with secure sums that other rounds do not have.

    Attributes:
        ledger: holds them.
    """

    ledger: Ledger

    def frozen(self, key: transitions.Attempt) -> float:
        """Returns when the contributions of an attempt were fixed, in seconds; 0: they are not."""
        chosen = (round_history.c[name] == value for name, value in transitions.key_columns(key).items())
        query = sa.select(round_history.c.at).where(*chosen, round_history.c.new == ROUND_STATE_OPENING)
        return next((row.at for row in self.ledger.rows(query)), 0.0)

    def open(self, key: transitions.Attempt, opened: Opening, at: float) -> None:
        """Stores that a sum has been opened; the attempt is aggregated from then on.

        Raises:
            LedgerError: the attempt was not opening; nothing was changed.
        """
        with self.ledger.transaction(lasting=True) as connection:
            transitions.move_round(connection, key, ROUND_STATE_OPENING, ROUND_STATE_AGGREGATING, at)
            connection.execute(sa.insert(opening), {**transitions.key_columns(key), **vars(opened)})

    def skip(self, old: TaskRow, new: TaskRow, at: float) -> None:
        """Gives the open round of a task up, ends its leases, and opens the next round or finishes the task.

        Args:
            old: the task as it is stored before.
            new: `old.passed_over()`.
            at: now, in seconds.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        newest = self.ledger.open_round(old.task_id, old.round)
        key = (old.task_id, old.round, newest.attempt)
        with self.ledger.transaction(lasting=True) as connection:
            transitions.move_round(connection, key, newest.state, ROUND_STATE_SKIPPED, at)
            task_life.end_round(connection, old, at)
            stored_tasks.replace(connection, old, new, at)
            if new.open:
                transitions.open_attempt(connection, (new.task_id, new.round, 0), at)

    def see(self, identity: bytes, head: bytes) -> None:
        """Stores the newest head of an unmasker's log.

        Args:
            identity: the unmasker's identity key.
            head: a `LogHead`, serialised.
        """
        with self.ledger.transaction(lasting=True) as connection:
            changed = sa.update(seen_log).where(seen_log.c.identity == identity).values(head=head)
            if not connection.execute(changed).rowcount:
                connection.execute(sa.insert(seen_log), {"identity": identity, "head": head})

    def seen(self, identity: bytes) -> bytes:
        """Returns the newest head of an unmasker's log; empty: none was seen."""
        query = sa.select(seen_log.c.head).where(seen_log.c.identity == identity)
        return next((bytes(row.head) for row in self.ledger.rows(query)), b"")
