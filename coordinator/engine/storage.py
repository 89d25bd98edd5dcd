"""Everything durable, and the sums. Owned by the writing thread: nothing here is called from two threads at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from google.protobuf.message import DecodeError

from coordinator.aggregation import aggregators
from coordinator.aggregation.aggregators import Aggregator
from coordinator.aggregation.optimizers import server_step
from coordinator.engine.live import LiveTask
from coordinator.engine.streams import Bundle, Contribution, TaskSpec
from coordinator.errors import BlobLostError, LedgerError, StoppedError
from coordinator.metrics.metrics import Metrics, timed
from coordinator.model.rounds import Lease, Reported, Round, Rule
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.disk import REAL, Disk
from coordinator.store.inventory import Kept, kept
from coordinator.store.ledger import AssignmentRow, Ledger, RoundSummary, TaskRow
from coordinator.store.recording import Recorder
from coordinator.store.round_log import RoundLog
from coordinator.store.state_folder import StateFolder
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED, TASK_STATE_RUNNING, TaskState
from fedau2.v1.task_pb2 import ClosingRule, TaskManifest
from fedau2.wire import manifest
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
        path: of the folder; made if it is not there.
        database: URL of the ledger; None: SQLite in the folder.
        disk: what everything is written to.
        audit: keep every contribution there too, see `recording`.

    Attributes:
        metrics: of the coordinator.
        served: blobs that devices may fetch; its reading methods may be called from any thread.

    Raises:
        FolderLockedError: another coordinator uses the folder or the ledger.
        FolderError, LedgerError: they cannot be used, or do not belong together.
    """

    def __init__(self, path: Path, database: str | None = None, disk: Disk = REAL, audit: Path | None = None) -> None:
        folder = StateFolder(path)
        with ExitStack() as stack:
            stack.enter_context(folder.open(disk))
            self._ledger = stack.enter_context(closing(Ledger(folder.database(database), disk)))
            folder.join(self._ledger, disk)
            self.served = BlobFolder(folder.blobs, disk)
            self._private = BlobFolder(folder.server_state, disk)
            self._log = stack.enter_context(closing(RoundLog(folder.log, disk)))
            self._rows = {row.task_id: row for row in self._ledger.tasks()}
            self._recorder = Recorder(audit, self.served, disk) if audit is not None else None
            self._held = stack.pop_all()
        self.metrics = Metrics()
        self._totals: dict[str, Aggregator] = {}
        self._manifests: dict[bytes, TaskManifest] = {}

    def tasks(self) -> list[TaskRow]:
        """All tasks, oldest first."""
        return list(self._rows.values())

    def close(self) -> None:
        """Closes all files and lets go of the folder."""
        self._held.close()

    def recover(self, now: float, stop: Event) -> list[LiveTask]:
        """The open tasks, with the contributions of their open rounds added again; removes what nobody needs.

        Args:
            now: in seconds, by a clock that may have gone back.
            stop: is looked at before each contribution.

        Raises:
            StoppedError: it was told to stop.
            BlobLostError: a blob that a running task needs is missing or damaged.
            LogError: an acknowledged contribution is missing or damaged.
            LedgerError, ManifestError: the ledger is not as it was left.
        """
        running = [row for row in self._rows.values() if row.open]
        for row in running:
            self._expect_blobs(row)
        tasks = [self._recover(row, now, stop) for row in running]
        self.served.keep_only(self._in_use(served=True))
        self._private.keep_only(self._in_use(served=False))
        self._log.keep_only({owner(row) for row in running})
        return tasks

    def _expect_blobs(self, row: TaskRow) -> None:
        for blob in self._kept(row):
            if blob.vital:
                with _explained(row, blob.what):
                    (self.served if blob.served else self._private).check(blob.sha256)

    def _recover(self, row: TaskRow, now: float, stop: Event) -> LiveTask:
        rule, task = _closing(row), self._manifest(row)
        manifest.check(task)
        spec = TaskSpec.of(task, rule)
        total, leases = aggregators.of(task), {}
        for each in self._ledger.assignments(row.task_id, row.round):
            if stop.is_set():
                raise StoppedError("told to stop while recovering; what was acknowledged is on disk")
            self._replay(row, spec, each, total)
            leases[each.assignment_id] = Lease(each.state, each.deadline, each.sha256)
        self._totals[row.task_id] = total
        open_round = self._ledger.open_round(row.task_id, row.round)
        machine = Round(
            Rule.of(rule),
            row.round,
            open_round.opened,
            open_round.attempt,
            open_round.state,
            leases,
            paused=row.state == TASK_STATE_PAUSED,
            now=now,
        )
        return LiveTask(row, spec, machine)

    def _replay(self, task: TaskRow, spec: TaskSpec, row: AssignmentRow, total: Aggregator) -> None:
        if row.location is not None:
            data = self._log.read(row.location, row.sha256)
            total.add(spec.decode(data), largest=spec.bound)
            if self._recorder is not None:
                self._recorder.keep(task, row.assignment_id, data)

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
            versions=header.versions.SerializeToString(deterministic=True),
        )
        self._ledger.create_task(row)
        self._rows[task_id] = row
        self._totals[task_id] = aggregators.of(bundle.spec.manifest)
        return LiveTask(row, bundle.spec, Round(Rule.of(header.closing), 0, at))

    def write(self, changes: Sequence[Change]) -> None:
        """Makes changes durable and counts their contributions: log, sync, ledger, sums.

        Raises:
            LedgerError: the ledger is not as this coordinator left it.
            OSError: the disk is full or broken.
        """
        with timed(self.metrics.sync):
            entries = [self._logged(change) for change in changes]
            self._log.sync()
            self._ledger.write(entries)
        with timed(self.metrics.fold):
            for change in changes:
                if (contribution := change.contribution) is not None:
                    self._totals[change.entry.task_id].add(contribution.updates, largest=contribution.bound)
        if self._recorder is not None:
            for change in changes:
                if change.contribution is not None and isinstance(change.entry.effect, Reported):
                    row = self._rows[change.entry.task_id]
                    self._recorder.keep(row, change.entry.effect.assignment_id, change.contribution.data)

    def _logged(self, change: Change) -> Entry:
        if change.contribution is None:
            return change.entry
        row, contribution = self._rows[change.entry.task_id], change.contribution
        return replace(change.entry, location=self._log.append(owner(row), contribution.data, contribution.sha256))

    def rounds(self, task_id: str, first: int, limit: int) -> list[RoundSummary]:
        """Rounds of a task from `first` on, oldest first, at most `limit`."""
        return self._ledger.rounds(task_id, first, limit)

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
        if self._recorder is not None:
            self._recorder.end(old)
        total.reset()
        self._log.drop(owner(old))
        self._forget(old)
        return new

    def change_state(self, task_id: str, state: TaskState.ValueType, at: float) -> TaskRow:
        """Moves a task to another state, unless it is over; where that ends it, its contributions are removed.

        Returns:
            The task as it stands now.
        """
        old = self._rows[task_id]
        if not old.open or old.state == state:
            return old
        new = replace(old, state=state)
        self._ledger.change_state(old, new, at)
        self._rows[task_id] = new
        if not new.open:
            del self._totals[task_id]
            if self._recorder is not None:
                self._recorder.forget(old)
            self._log.drop(owner(old))
        return new

    def _forget(self, old: TaskRow) -> None:
        if old.previous_checkpoint not in self._in_use(served=True):
            self.served.delete(old.previous_checkpoint)
        if old.previous_server_state not in self._in_use(served=False):
            self._private.delete(old.previous_server_state)

    def _in_use(self, served: bool) -> set[bytes]:
        return {blob.sha256 for row in self._rows.values() for blob in self._kept(row) if blob.served is served}

    def _kept(self, row: TaskRow) -> list[Kept]:
        return kept(row, self._manifest(row))

    def _manifest(self, row: TaskRow) -> TaskManifest:
        if row.manifest not in self._manifests:
            with _explained(row, "manifest"):
                self._manifests[row.manifest] = TaskManifest.FromString(self.served.get(row.manifest))
        return self._manifests[row.manifest]


def _closing(row: TaskRow) -> ClosingRule:
    try:
        return ClosingRule.FromString(row.closing)
    except DecodeError as error:
        raise LedgerError(
            f"the closing rule of task {row.task_id} is damaged: restore the ledger and the state folder from a copy"
        ) from error


@contextmanager
def _explained(row: TaskRow, what: str) -> Iterator[None]:
    try:
        yield
    except BlobLostError as error:
        raise BlobLostError(
            f"the {what} of task {row.task_id} is lost: {error}; put the file back from a copy of the state folder or, "
            "if it is part of the task's bundle, from there"
        ) from error


def owner(row: TaskRow) -> str:
    """Names the open round of a task in the log."""
    return f"{row.task_id}-{row.round}"
