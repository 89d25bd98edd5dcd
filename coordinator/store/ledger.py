"""The ledger: the states of tasks, rounds and assignments, durably (design section 7)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coordinator.errors import LedgerError
from coordinator.store import identity, migrations, stored_tasks, task_life, transitions
from coordinator.store.database import Database
from coordinator.store.disk import REAL, Disk
from coordinator.store.rows import AssignmentRow, RoundRow, RoundSummary, assignment_row, round_row
from coordinator.store.summaries import summaries
from coordinator.store.tables import assignment, commits, meta, rollback_history, round_attempt, task
from coordinator.store.task_rows import TaskRow
from coordinator.store.transitions import Entry
from coordinator.store.witness import Witness
from fedau2.v1.admin_pb2 import (
    ROUND_STATE_ABANDONED,
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_COLLECTING,
    ROUND_STATE_COMMITTED,
)


class Ledger:
    """The ledger in a database. It can be read at once, and written after `prepare`.

    Args:
        url: SQLAlchemy URL of the database.
        disk: carries out the commits.

    Attributes:
        version: version of its schema.
        folder: id of the state folder that it belongs to; None: it belongs to no folder yet.
        commits: transactions so far.

    Raises:
        LedgerError: there is no such database, it is damaged or cannot be used, or it is of a newer version.
        FolderLockedError: another coordinator uses it.
    """

    def __init__(self, url: sa.URL | str, disk: Disk = REAL) -> None:
        self._database = Database(url, disk)
        self._witness: Witness | None = None
        try:
            with self._database.reading() as connection:
                known = identity.read(connection)
            self.version, self.folder, self.commits = known.version, known.folder, known.commits
            if self.version >= migrations.WITNESSED and not self._database.sealed:
                raise LedgerError(
                    "the checksums of the ledger's pages are missing: restore the ledger together with the state "
                    "folder from a copy, or accept it as it is with `fedau2-coordinator doctor --accept-ledger`"
                )
        except BaseException:
            self.close()
            raise

    def prepare(self, folder: str, witness: Witness | None = None) -> None:
        """Lets the ledger be written. Makes the tables, or brings them to this version, and notes the state folder.

        Args:
            folder: id of the state folder.
            witness: is shown every commit from now on.
        """
        self._database.open_for_writing()
        self._witness = witness
        if self.version == migrations.VERSION:
            return
        with self._database.transaction() as connection:
            migrations.migrate(connection, self.version)
            connection.execute(sa.delete(meta))
            connection.execute(sa.insert(meta), {"version": migrations.VERSION, "folder": folder})
            if self.version < migrations.WITNESSED:
                connection.execute(sa.insert(commits), {"number": self.commits})
        self.version, self.folder = migrations.VERSION, folder

    @contextmanager
    def transaction(self, lasting: bool = False) -> Iterator[Connection]:
        """Opens a transaction, and shows its commit to the witness, which is synced if it must last."""
        with self._database.transaction() as connection:
            yield connection
            counted = sa.update(commits).where(commits.c.number == self.commits).values(number=self.commits + 1)
            transitions.expect(connection.execute(counted).rowcount, 1, "commits")
        self.commits += 1
        if self._witness is not None:
            self._witness.note(self.commits)
            if lasting:
                self._witness.sync()

    def rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Returns all rows of a query."""
        return self._database.rows(query)

    def checkpoint(self) -> None:
        """Moves what was committed from SQLite's write-ahead log into the database."""
        self._database.checkpoint()

    def close(self) -> None:
        """Closes the connection."""
        self._database.close()

    def damage(self) -> list[str]:
        """Lists the damage that the database finds in itself."""
        return self._database.damage()

    def manifests(self) -> list[bytes]:
        """Lists the hashes of all tasks' manifests, in a ledger of any version."""
        if self.version == migrations.NEW:
            return []
        return [digest for (digest,) in self._database.rows(sa.select(task.c.manifest))]

    def tasks(self) -> list[TaskRow]:
        """Reads all tasks, oldest first, in a ledger of any version."""
        with self._database.reading() as connection:
            return stored_tasks.read(connection, self.version)

    def task(self, task_id: str) -> TaskRow:
        """Reads one task.

        Raises:
            LedgerError: there is no such task.
        """
        with self._database.reading() as connection:
            for row in stored_tasks.read(connection, self.version, task_id):
                return row
        raise LedgerError(f"the ledger has no task {task_id}")

    def open_round(self, task_id: str, number: int) -> RoundRow:
        """Reads the newest attempt of a round.

        Raises:
            LedgerError: there is no such round.
        """
        columns = round_attempt.c
        query = sa.select(columns.attempt, columns.state, columns.opened).order_by(columns.attempt.desc()).limit(1)
        rows = self._database.rows(query.where(columns.task_id == task_id, columns.round == number))
        if not rows:
            raise LedgerError(f"the ledger has no round {number} of task {task_id}")
        return round_row(**rows[0]._mapping)

    def rounds(self, task_id: str, first: int, limit: int) -> list[RoundSummary]:
        """Reads the rounds of a task from `first` on, oldest first, at most `limit`."""
        return summaries(self._database, task_id, first, limit)

    def assignments(self, task_id: str, number: int) -> Iterator[AssignmentRow]:
        """Reads the assignments of a round, a few in memory at a time. The ledger does nothing else meanwhile."""
        new = [] if self.version >= migrations.ADMITTED else [assignment.c.admission]
        columns = [column for column in assignment.c if column not in new]
        query = sa.select(*columns).where(assignment.c.task_id == task_id, assignment.c.round == number)
        with self._database.reading() as connection:
            yield from map(assignment_row, connection.execution_options(yield_per=1000).execute(query))

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, AssignmentRow]:
        """Reads those of some assignments that there are, of any round, by id."""
        parts = (keys[start : start + 1000] for start in range(0, len(keys), 1000))  # SQLite has a limit
        queries = (sa.select(assignment).where(assignment.c.assignment_id.in_(part)) for part in parts)
        return {row.assignment_id: assignment_row(row) for query in queries for row in self._database.rows(query)}

    def create_task(self, row: TaskRow) -> None:
        """Stores a task and opens its first round."""
        with self.transaction(lasting=True) as connection:
            task_life.begin(connection, row)

    def begin_anew(self, tasks: Sequence[tuple[TaskRow, int]], at: float) -> None:
        """Begins the open rounds of tasks anew at a time, each with its new `TaskRow.skipped`.

        Their assignments expire, and their contributions and admissions do not count.
        """
        with self.transaction(lasting=True) as connection:
            for row, skipped in tasks:
                transitions.begin_anew(connection, row.task_id, row.round, at)
                task_life.forget_admissions(connection, row.task_id)
                stored_tasks.replace(connection, row, replace(row, skipped=skipped), at)

    def put_back(self, old: TaskRow, new: TaskRow, target: int, at: float) -> None:
        """Puts a task back to the model after `target` rounds, and begins its open round anew, in one transaction."""
        moved = {"task_id": old.task_id, "old": old.round, "new": target, "at": at}
        with self.transaction(lasting=True) as connection:
            if old.open:
                transitions.begin_anew(connection, old.task_id, old.round, at)
            stored_tasks.replace(connection, old, new, at)
            connection.execute(sa.insert(rollback_history), moved)

    def give_up(self, task_id: str, number: int, keys: Sequence[bytes], at: float) -> None:
        """Ends reported assignments of the open round whose contributions cannot be read back.

        If the round was closed with them, it collects again, as its next attempt.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        newest = self.open_round(task_id, number)
        with self.transaction(lasting=True) as connection:
            transitions.give_up(connection, keys, at)
            if newest.state != ROUND_STATE_COLLECTING:
                key = (task_id, number, newest.attempt)
                transitions.move_round(connection, key, newest.state, ROUND_STATE_ABANDONED, at)
                transitions.open_attempt(connection, (task_id, number, newest.attempt + 1), at)

    def write(self, entries: Sequence[Entry]) -> None:
        """Makes effects durable in one transaction.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        with self.transaction() as connection:
            transitions.write(connection, entries)

    def commit(self, old: TaskRow, attempt: int, new: TaskRow, at: float, most_stale: int = 0) -> None:
        """Commits a round, ends its leases, and opens the next round or finishes the task, in one transaction.

        Args:
            old: the task as it is stored before.
            attempt: the attempt that is being aggregated.
            new: `old.committed(...)`.
            at: now, in seconds.
            most_stale: rounds for which a live lease outlives its own, while the task is open.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        outcome = {"checkpoint": new.checkpoint, "server_state": new.server_state, "norms": new.norms}
        with self.transaction(lasting=True) as connection:
            key = (old.task_id, old.round, attempt)
            transitions.move_round(connection, key, ROUND_STATE_AGGREGATING, ROUND_STATE_COMMITTED, at, outcome)
            task_life.end_round(connection, old, at, most_stale if new.open else 0)
            stored_tasks.replace(connection, old, new, at)
            if new.open:
                transitions.open_attempt(connection, (new.task_id, new.round, 0), at)

    def change_state(self, old: TaskRow, new: TaskRow, at: float) -> None:
        """Moves an open task from one state to another. If that ends it, its open round and the leases end too.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        newest = self.open_round(old.task_id, old.round)
        with self.transaction(lasting=True) as connection:
            if new.open:
                stored_tasks.replace(connection, old, new, at)
            else:
                task_life.end(connection, old, new, newest, at)

    def succeed(self, old: TaskRow, ended: TaskRow, successor: TaskRow) -> None:
        """Ends a task and begins its successor, when that is created, in one transaction; see `change_state`."""
        newest = self.open_round(old.task_id, old.round)
        with self.transaction(lasting=True) as connection:
            task_life.end(connection, old, ended, newest, successor.created)
            task_life.begin(connection, successor)
