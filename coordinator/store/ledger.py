"""The ledger: the states of tasks, rounds and assignments, durably (design section 7)."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coordinator.errors import LedgerError
from coordinator.store import migrations, transitions
from coordinator.store.database import Database
from coordinator.store.disk import REAL, Disk
from coordinator.store.round_log import Location
from coordinator.store.rows import AssignmentRow, RoundRow, RoundSummary, TaskRow
from coordinator.store.tables import assignment, meta, round_attempt, round_history, task
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import (
    ROUND_STATE_ABANDONED,
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_COLLECTING,
    ROUND_STATE_COMMITTED,
    TASK_STATE_UNSPECIFIED,
)


class Ledger:
    """The ledger in a database.

    Args:
        url: SQLAlchemy URL of the database.
        disk: carries out the commits.

    Attributes:
        version: version of its schema.
        folder: id of the state folder that it belongs to; None: it belongs to no folder yet.

    Raises:
        LedgerError: there is no such database, it cannot be used, or it is of a newer version.
        FolderLockedError: another coordinator uses it.
    """

    def __init__(self, url: sa.URL | str, disk: Disk = REAL) -> None:
        self._database = Database(url, disk)
        try:
            with self._database.reading() as connection:
                self.version = migrations.version(connection)
                self.folder = _folder(connection, self.version)
        except BaseException:
            self.close()
            raise

    def prepare(self, folder: str) -> None:
        """Makes the tables, or brings them to this version, and notes the state folder, in one transaction.

        Args:
            folder: id of the state folder.
        """
        if self.version == migrations.VERSION:
            return
        with self._database.transaction() as connection:
            migrations.migrate(connection, self.version)
            connection.execute(sa.delete(meta))
            connection.execute(sa.insert(meta), {"version": migrations.VERSION, "folder": folder})
        self.version, self.folder = migrations.VERSION, folder

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
        """Reads all tasks, oldest first."""
        query = sa.select(task).order_by(task.c.created, task.c.task_id)
        return [TaskRow(**row._mapping) for row in self._database.rows(query)]

    def task(self, task_id: str) -> TaskRow:
        """Reads one task.

        Raises:
            LedgerError: there is no such task.
        """
        rows = self._database.rows(sa.select(task).where(task.c.task_id == task_id))
        if not rows:
            raise LedgerError(f"the ledger has no task {task_id}")
        return TaskRow(**rows[0]._mapping)

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
        return RoundRow(**rows[0]._mapping)

    def rounds(self, task_id: str, first: int, limit: int) -> list[RoundSummary]:
        """Reads the rounds of a task from `first` on, oldest first, at most `limit`."""
        columns = round_attempt.c
        newest = (columns.task_id == task_id, columns.round >= first, columns.round < first + limit)
        query = sa.select(columns.round, columns.attempt, columns.state, columns.opened, columns.checkpoint)
        ends = self._ends(task_id, first, limit)
        counts = self._counts(task_id, first, limit)
        # Later attempts of a round replace earlier ones.
        rows = {row.round: row for row in self._database.rows(query.where(*newest).order_by(columns.attempt))}
        return [
            RoundSummary(
                row.round,
                RoundRow(row.attempt, row.state, row.opened),
                ends.get(row.round),
                row.checkpoint or b"",
                counts.get(row.round, {}),
            )
            for row in (rows[number] for number in sorted(rows))
        ]

    def _ends(self, task_id: str, first: int, limit: int) -> dict[int, float]:
        columns = round_history.c
        of_these_rounds = (columns.task_id == task_id, columns.round >= first, columns.round < first + limit)
        query = sa.select(columns.round, columns.at).where(*of_these_rounds, columns.new == ROUND_STATE_COMMITTED)
        return {row.round: row.at for row in self._database.rows(query)}

    def _counts(self, task_id: str, first: int, limit: int) -> dict[int, dict[int, int]]:
        columns = assignment.c
        of_these_rounds = (columns.task_id == task_id, columns.round >= first, columns.round < first + limit)
        grouped = sa.select(columns.round, columns.state, sa.func.count().label("number")).where(*of_these_rounds)
        counts: dict[int, dict[int, int]] = {}
        for row in self._database.rows(grouped.group_by(columns.round, columns.state)):
            counts.setdefault(row.round, {})[row.state] = row.number
        return counts

    def assignments(self, task_id: str, number: int) -> Iterator[AssignmentRow]:
        """Reads the assignments of a round, a few in memory at a time. The ledger does nothing else meanwhile."""
        query = sa.select(assignment).where(assignment.c.task_id == task_id, assignment.c.round == number)
        with self._database.reading() as connection:
            yield from map(_assignment, connection.execution_options(yield_per=1000).execute(query))

    def assignment(self, assignment_id: bytes) -> AssignmentRow | None:
        """Reads one assignment, of any round."""
        query = sa.select(assignment).where(assignment.c.assignment_id == assignment_id)
        return next(map(_assignment, self._database.rows(query)), None)

    def create_task(self, row: TaskRow) -> None:
        """Stores a task and opens its first round."""
        with self._database.transaction() as connection:
            connection.execute(sa.insert(task), asdict(row))
            transitions.remember_task(connection, row.task_id, TASK_STATE_UNSPECIFIED, row.state, row.created)
            transitions.open_attempt(connection, (row.task_id, 0, 0), row.created)

    def give_up(self, task_id: str, number: int, keys: Sequence[bytes], at: float) -> None:
        """Ends reported assignments of the open round whose contributions cannot be read back.

        If the round was closed with them, it collects again, as its next attempt.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        newest = self.open_round(task_id, number)
        with self._database.transaction() as connection:
            transitions.give_up(connection, keys, at)
            if newest.state == ROUND_STATE_AGGREGATING:
                key = (task_id, number, newest.attempt)
                transitions.move_round(connection, key, ROUND_STATE_AGGREGATING, ROUND_STATE_ABANDONED, at)
                transitions.open_attempt(connection, (task_id, number, newest.attempt + 1), at)

    def write(self, entries: Sequence[Entry]) -> None:
        """Makes effects durable in one transaction.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        with self._database.transaction() as connection:
            transitions.write(connection, entries)

    def commit(self, old: TaskRow, attempt: int, new: TaskRow, at: float) -> None:
        """Commits a round, ends its leases, and opens the next round or finishes the task, in one transaction.

        Args:
            old: the task as it is stored before.
            attempt: the attempt that is being aggregated.
            new: `old.committed(...)`.
            at: now, in seconds.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        outcome = {"checkpoint": new.checkpoint, "server_state": new.server_state}
        with self._database.transaction() as connection:
            key = (old.task_id, old.round, attempt)
            transitions.move_round(connection, key, ROUND_STATE_AGGREGATING, ROUND_STATE_COMMITTED, at, outcome)
            transitions.expire_leases(connection, old.task_id, old.round, at)
            transitions.replace_task(connection, asdict(old), asdict(new), at)
            if new.open:
                transitions.open_attempt(connection, (new.task_id, new.round, 0), at)

    def change_state(self, old: TaskRow, new: TaskRow, at: float) -> None:
        """Moves an open task from one state to another. If that ends it, its open round and the leases end too.

        Raises:
            LedgerError: a row was not in the state that it must be in; nothing was changed.
        """
        key = (old.task_id, old.round, self.open_round(old.task_id, old.round).attempt)
        with self._database.transaction() as connection:
            transitions.replace_task(connection, asdict(old), asdict(new), at)
            if not new.open:
                transitions.move_round(connection, key, ROUND_STATE_COLLECTING, ROUND_STATE_ABANDONED, at)
                transitions.expire_leases(connection, old.task_id, old.round, at)


def _folder(connection: Connection, version: int) -> str | None:
    if version > migrations.VERSION:
        raise LedgerError(
            f"the ledger has schema version {version}, made by a newer fedau2-coordinator; this one works with version "
            f"{migrations.VERSION}: update it"
        )
    if version < 2:
        return None
    return str(connection.execute(sa.select(meta.c.folder)).scalar_one())


def _assignment(row: sa.Row[Any]) -> AssignmentRow:
    location = None if row.segment is None else Location(row.segment, row.offset, row.length)
    return AssignmentRow(row.assignment_id, row.task_id, row.state, row.deadline, row.sha256 or b"", location)
