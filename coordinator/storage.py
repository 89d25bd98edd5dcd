"""Everything durable, and the sums. Owned by the writing thread: nothing here is called from two threads at a time."""

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from coordinator import aggregate
from coordinator.aggregate import Aggregator
from coordinator.blobs import BlobFolder
from coordinator.errors import FolderLockedError, LedgerError
from coordinator.ledger import AssignmentRow, Ledger, TaskRow
from coordinator.live import LiveTask
from coordinator.log import RoundLog
from coordinator.optimizers import server_step
from coordinator.rounds import Lease, Round, Rule
from coordinator.streams import Bundle, Contribution, TaskSpec
from coordinator.transitions import Entry
from fedau2.v1.admin_pb2 import TASK_STATE_RUNNING
from fedau2.v1.task_pb2 import ClosingRule, TaskManifest
from fedau2.wire import contributions, manifest
from fedau2.wire.blobs import pack, unpack

_EMPTY = pack({})
"""The server state before the first step."""


@dataclass(frozen=True, eq=False)
class Change:
    """An entry of the ledger, with the contribution that it counts, if any."""

    entry: Entry
    contribution: Contribution | None = None


class Storage:
    """A coordinator's state folder.

    Args:
        folder: made if it is not there.
        database: URL of the ledger; None: SQLite in the folder.

    Attributes:
        served: blobs that devices may fetch; its reading methods may be called from any thread.

    Raises:
        FolderLockedError: another coordinator uses the folder.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self._open(folder, database)
        except BaseException:
            self._lock.close()
            raise

    def _open(self, folder: Path, database: str | None) -> None:
        self.served = BlobFolder(folder / "blobs")
        self._private = BlobFolder(folder / "server-state")
        self._log = RoundLog(folder / "log")
        self._ledger = Ledger(database or f"sqlite:///{folder / 'ledger.sqlite'}")
        self._rows = {row.task_id: row for row in self._ledger.tasks()}
        self._totals: dict[str, Aggregator] = {}
        self._bundles: dict[bytes, frozenset[bytes]] = {}  # by manifest: the blobs that stay

    def tasks(self) -> list[TaskRow]:
        """All tasks, oldest first."""
        return list(self._rows.values())

    def close(self) -> None:
        """Closes all files and lets go of the folder."""
        self._log.close()
        self._ledger.close()
        self._lock.close()

    def recover(self) -> list[LiveTask]:
        """The running tasks, with the contributions of their open rounds added again; removes what nobody needs.

        Raises:
            LogError: an acknowledged contribution is damaged.
            LedgerError, ManifestError, OSError: the folder is not as it was left.
        """
        running = [row for row in self._rows.values() if row.state == TASK_STATE_RUNNING]
        tasks = [self._recover(row) for row in running]
        if self._rows:  # an empty ledger may be a wrong one: nothing is removed on its word
            self.served.keep_only(self._served_in_use())
            self._private.keep_only(self._private_in_use())
            self._log.keep_only({_owner(row) for row in running})
        return tasks

    def _recover(self, row: TaskRow) -> LiveTask:
        closing = ClosingRule.FromString(row.closing)
        spec = TaskSpec.of(manifest.parse(self._manifest(row.manifest)), closing)
        assignments = self._ledger.assignments(row.task_id, row.round)
        self._totals[row.task_id] = self._replay(spec, assignments)
        open_round = self._ledger.open_round(row.task_id, row.round)
        leases = {each.assignment_id: Lease(each.state, each.deadline, each.sha256) for each in assignments}
        machine = Round(Rule.of(closing), row.round, open_round.opened, open_round.attempt, open_round.state, leases)
        return LiveTask(row, spec, machine)

    def _replay(self, spec: TaskSpec, assignments: Sequence[AssignmentRow]) -> Aggregator:
        total = aggregate.of(spec.manifest)
        for each in assignments:
            if each.location is not None:
                data = self._log.read(each.location, each.sha256)
                total.add(contributions.decode(data, spec.shared, spec.bound))
        return total

    def create_task(self, task_id: str, bundle: Bundle, at: float) -> LiveTask:
        """Stores a new task with its blobs, and opens its first round."""
        header = bundle.header
        for data in bundle.blobs.values():
            self.served.put(data)
        checkpoint, state = bundle.spec.manifest.checkpoint.sha256, self._private.put(_EMPTY).sha256
        row = TaskRow(
            task_id=task_id,
            population=header.population,
            state=TASK_STATE_RUNNING,
            created=at,
            rounds=header.rounds,
            round=0,
            manifest=self.served.put(header.manifest).sha256,
            closing=header.closing.SerializeToString(deterministic=True),
            checkpoint=checkpoint,
            server_state=state,
            previous_checkpoint=checkpoint,
            previous_server_state=state,
        )
        self._ledger.create_task(row)
        self._rows[task_id] = row
        self._totals[task_id] = aggregate.of(bundle.spec.manifest)
        return LiveTask(row, bundle.spec, Round(Rule.of(header.closing), 0, at))

    def write(self, changes: Sequence[Change]) -> None:
        """Makes changes durable and counts their contributions: log, sync, ledger, sums.

        Raises:
            LedgerError: the ledger is not as this coordinator left it.
            OSError: the disk is full or broken.
        """
        entries = [self._logged(change) for change in changes]
        self._log.sync()
        self._ledger.write(entries)
        for change in changes:
            if change.contribution is not None:
                self._totals[change.entry.task_id].add(change.contribution.updates)

    def _logged(self, change: Change) -> Entry:
        if change.contribution is None:
            return change.entry
        owner = _owner(self._rows[change.entry.task_id])
        return replace(
            change.entry, location=self._log.append(owner, change.contribution.data, change.contribution.sha256)
        )

    def assignment(self, assignment_id: bytes) -> AssignmentRow | None:
        """An assignment of any round."""
        return self._ledger.assignment(assignment_id)

    def commit(self, task_id: str, spec: TaskSpec, attempt: int, at: float) -> TaskRow:
        """Takes the server's step on the sum of the open round, commits it, and removes what is older than that.

        Args:
            task_id: the task.
            spec: of the task.
            attempt: the attempt that is being aggregated.
            at: now, in seconds.

        Returns:
            The task as it stands now.
        """
        old, total = self._rows[task_id], self._totals[task_id]
        checkpoint, state = unpack(self.served.get(old.checkpoint)), unpack(self._private.get(old.server_state))
        checkpoint, state = server_step(spec.manifest, checkpoint, state, total.mean())
        new = old.committed(self.served.put(pack(checkpoint)).sha256, self._private.put(pack(state)).sha256)
        self._ledger.commit(old, attempt, new, at)
        self._rows[task_id] = new
        total.reset()
        self._log.drop(_owner(old))
        self._forget(old)
        return new

    def _forget(self, old: TaskRow) -> None:
        if old.previous_checkpoint not in self._served_in_use():
            self.served.delete(old.previous_checkpoint)
        if old.previous_server_state not in self._private_in_use():
            self._private.delete(old.previous_server_state)

    def _served_in_use(self) -> set[bytes]:
        versions = {each for row in self._rows.values() for each in (row.checkpoint, row.previous_checkpoint)}
        return versions.union(*(self._bundle(row.manifest) for row in self._rows.values()))

    def _bundle(self, digest: bytes) -> frozenset[bytes]:
        if digest not in self._bundles:
            named = manifest.blobs(TaskManifest.FromString(self._manifest(digest)))
            self._bundles[digest] = frozenset({digest, *(resource.sha256 for resource in named)})
        return self._bundles[digest]

    def _manifest(self, digest: bytes) -> bytes:
        try:
            return self.served.get(digest)
        except FileNotFoundError as error:
            name = digest.hex()[:12]
            raise LedgerError(f"the folder lacks manifest {name} of the ledger: is this another's ledger?") from error

    def _private_in_use(self) -> set[bytes]:
        return {each for row in self._rows.values() for each in (row.server_state, row.previous_server_state)}


def _locked(folder: Path) -> TextIO:
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise FolderLockedError(f"{folder} is used by another coordinator; give each a folder of its own") from error
    return file


def _owner(row: TaskRow) -> str:
    return f"{row.task_id}-{row.round}"
