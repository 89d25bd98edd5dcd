"""Everything durable, and the sums. Owned by the writing thread: nothing here is called from two threads at a time."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from coordinator.aggregation import succession
from coordinator.engine import sums
from coordinator.engine.commits import Commits
from coordinator.engine.hidden_rounds import HiddenRounds
from coordinator.engine.kept_models import KeptModels
from coordinator.engine.recovery import Recovery
from coordinator.engine.round_sum import Record, RoundSum
from coordinator.engine.task_table import TaskTable
from coordinator.metrics.metrics import Metrics, timed
from coordinator.model.admission import VersionRange
from coordinator.model.defaults import KEPT_MODELS
from coordinator.model.effects import Reported
from coordinator.model.open_task import OpenTask
from coordinator.model.round_machine import RoundMachine
from coordinator.model.task import Bundle, Contribution, TaskSpec
from coordinator.store.admissions import AdmissionBook
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.disk import REAL, Disk
from coordinator.store.ledger import Ledger
from coordinator.store.left_overs import LeftOvers
from coordinator.store.migrations import NEW, VERSION, WITNESSED
from coordinator.store.openings import Openings
from coordinator.store.operations_log import OperationsLog
from coordinator.store.recording import Recorder
from coordinator.store.round_log import RoundLog, owner
from coordinator.store.rows import AssignmentRow, RoundRow, RoundSummary
from coordinator.store.soundness import expect_whole
from coordinator.store.state_folder import StateFolder
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.task_rows import TaskRow
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED, TASK_STATE_STOPPED, TaskState
from fedau2.v1.task_pb2 import ClientVersions
from fedau2.wire.blobs import pack, unpack

_EMPTY = pack({})
"""The server state before the first step."""


@dataclass(frozen=True, eq=False)
class Decision:
    """An effect to be made durable, with the contribution that it counts, if any."""

    entry: Entry
    contribution: Contribution | None = None


class Storage:
    """A coordinator's state folder and its ledger. Tasks are read from the ledger when they are needed.

    Args:
        path: of the folder; made if it is not there.
        metrics: are shown how long writes take.
        database: URL of the ledger; None: SQLite in the folder.
        disk: carries out the writes.
        audit: folder of a recording of every contribution, see `recording`; None: no recording.
        keep: most older models of a task that are kept, at least 1.

    Attributes:
        served: blobs that devices may fetch; its reading methods may be called from any thread.
        admissions: keys of admissions, and who had one; for the writing thread.
        kept: the older models of tasks.
        hidden: the rounds with secure sums.
        commits: ends rounds.
        operations: the log of the operators' calls, which may be written to from any thread.

    Raises:
        FolderLockedError: another coordinator uses the folder or the ledger.
        FolderError, LedgerError, OperationsError: they cannot be used, or do not belong together.
    """

    def __init__(
        self,
        path: Path,
        metrics: Metrics,
        database: str | None = None,
        disk: Disk = REAL,
        audit: Path | None = None,
        keep: int = KEPT_MODELS,
    ) -> None:
        folder = StateFolder(path)
        with ExitStack() as stack:
            stack.enter_context(folder.open(disk))
            self._ledger = stack.enter_context(closing(Ledger(folder.database(database), disk)))
            self.served = BlobFolder(folder.blobs, disk)
            self._blobs = TaskBlobs(self.served, BlobFolder(folder.server_state, disk))
            self.admissions = AdmissionBook(self._ledger)
            self.kept = KeptModels(self._ledger, self._blobs)
            self._log = stack.enter_context(closing(RoundLog(folder.log, disk)))
            self.operations = stack.enter_context(closing(OperationsLog.open(folder.operations, disk)))
            self._disk, self._unwitnessed = disk, folder.unwitnessed
            folder.check(self._ledger)
            if NEW < self._ledger.version < VERSION:
                expect_whole(self._ledger, self._log, self._blobs)  # before the upgrade, which changes it
            if NEW < self._ledger.version < WITNESSED:
                disk.write_file(folder.unwitnessed, b"")
            stack.enter_context(closing(folder.join(self._ledger, disk)))
            self._recorder = Recorder(audit, self.served, disk) if audit is not None else None
            self._opened = stack.pop_all()
        self._left_overs = LeftOvers(folder.aside, disk)
        self._metrics = metrics
        self._sums: dict[str, RoundSum] = {}
        self.hidden = HiddenRounds(Openings(self._ledger), self._blobs, self._log, self._sums)
        self.commits = Commits(self._ledger, self._blobs, self._log, self._sums, self.hidden, self._recorder, keep)

    @property
    def recorded(self) -> bool:
        """Contributions are recorded for an audit."""
        return self._recorder is not None

    def confirm(self) -> None:
        """Commits nothing, which a coordinator cannot do whose term is over.

        Raises:
            LedgerError: the ledger is another's, or the database failed.
        """
        with self._ledger.transaction():
            pass

    def checkpoint(self) -> None:
        """Moves what was committed into the ledger's main file, which then is whole by itself."""
        self._ledger.checkpoint()

    def close(self) -> None:
        """Closes all files and unlocks the folder."""
        self._opened.close()

    def recover(self, now: float, stop: Event) -> TaskTable:
        """Recovers the tasks, and adds the contributions of open rounds again; removes what nobody needs.

        Args:
            now: in seconds, by a clock that may have gone back.
            stop: once it is set, recovery ends at its next step.

        Raises:
            StoppedError: `stop` was set.
            BlobLostError, LogError, LedgerError, ManifestError: see `Recovery.run`.
        """
        witnessed = not self._unwitnessed.exists()
        recovery = Recovery(self._ledger, self._log, self._blobs, self._recorder, self._left_overs, witnessed)
        open_tasks = recovery.run(now, stop)
        if not witnessed:
            self._disk.delete(self._unwitnessed)
        self._sums.update(recovery.sums)
        return TaskTable(self._ledger.tasks(), open_tasks)

    def create_task(self, task_id: str, bundle: Bundle, at: float) -> tuple[TaskRow, OpenTask]:
        """Stores a new task with its blobs, and opens its first round."""
        task = bundle.spec.manifest
        encoding = bundle.header.checkpoints
        encoded = (
            self.commits.encoded(task, unpack(bundle.blobs[task.checkpoint.sha256]), encoding) if encoding else b""
        )
        addresses = (self._put(bundle), task.checkpoint.sha256, self._blobs.private.put(_EMPTY).sha256, encoded)
        row = replace(TaskRow.begun(task_id, bundle.header, at, *addresses), skipped=task.first_round)
        self._ledger.create_task(row)
        return row, self._opened_task(row, bundle.spec)

    def succeed(self, old_id: str, task_id: str, bundle: Bundle, at: float) -> tuple[TaskRow, TaskRow, OpenTask]:
        """Ends an open task, in whose round nobody has a place, and starts its successor with its newest model.

        Returns:
            The task that has ended, and the successor.
        """
        old, task = self._ledger.task(old_id), bundle.spec.manifest
        before = self._blobs.manifest(old)
        way = succession.way(self.served.get(before.catalogue.sha256), bundle.blobs[task.catalogue.sha256])
        newest = unpack(self.served.get(old.checkpoint)), unpack(self._blobs.private.get(old.server_state))
        checkpoint, state = succession.follow(before, task, way, *newest, unpack(bundle.blobs[task.checkpoint.sha256]))
        addresses = self.served.put(pack(checkpoint)).sha256, self._blobs.private.put(pack(state)).sha256
        encoded = self.commits.encoded(task, checkpoint, bundle.header.checkpoints)
        row = TaskRow.begun(task_id, bundle.header, at, self._put(bundle), *addresses, encoded)
        row = row.after(old, task.first_round)
        ended = replace(old, state=TASK_STATE_STOPPED)
        self._ledger.succeed(old, ended, row)
        self._forget_round(old)
        return ended, row, self._opened_task(row, bundle.spec)

    def _put(self, bundle: Bundle) -> bytes:
        """Stores the blobs of a bundle, and returns the hash of its manifest."""
        for data in bundle.blobs.values():
            self.served.put(data)
        return self.served.put(bundle.header.manifest).sha256

    def _opened_task(self, row: TaskRow, spec: TaskSpec) -> OpenTask:
        self._sums[row.task_id] = sums.of(row, spec, self._blobs)
        machine = RoundMachine(spec.rule, 0, row.created, paused=row.state == TASK_STATE_PAUSED)
        versions = VersionRange.of(ClientVersions.FromString(row.versions))
        return OpenTask(row.task_id, row.population, spec, versions, machine)

    def write(self, decisions: Sequence[Decision]) -> None:
        """Makes decisions durable and counts their contributions: log, sync, ledger, sums.

        Raises:
            LedgerError: the ledger is not as this coordinator left it.
            OSError: the disk is full or broken.
        """
        with timed(self._metrics.sync):
            entries = [self._logged(decision) for decision in decisions]
            self._log.sync()
            self._ledger.write(entries)
        with timed(self._metrics.fold):
            for entry, decision in zip(entries, decisions, strict=True):
                self._fold(entry, decision.contribution)
            self.hidden.refuse(entries)
        if self._recorder is not None:
            self._record(self._recorder, decisions)

    def _fold(self, entry: Entry, contribution: Contribution | None) -> None:
        if contribution is None or not isinstance(entry.effect, Reported) or entry.location is None:
            return
        total = self._sums[entry.task_id]
        record = Record(entry.effect.assignment_id, contribution.sha256, entry.location, entry.effect.staleness)
        self._metrics.norms(total.population, total.add(record, contribution.content))

    def _logged(self, decision: Decision) -> Entry:
        entry, contribution = decision.entry, decision.contribution
        if contribution is None:
            return entry
        segments = owner(entry.task_id, entry.round)
        return replace(entry, location=self._log.append(segments, contribution.data, contribution.sha256))

    def _record(self, recorder: Recorder, decisions: Sequence[Decision]) -> None:
        rows: dict[str, TaskRow] = {}
        for decision in decisions:
            effect, task_id = decision.entry.effect, decision.entry.task_id
            if decision.contribution is not None and isinstance(effect, Reported):
                if task_id not in rows:
                    rows[task_id] = self._ledger.task(task_id)
                recorder.keep(rows[task_id], effect.assignment_id, decision.contribution.data)

    def rounds(self, task_id: str, first: int, limit: int) -> list[RoundSummary]:
        """Reads the rounds of a task from `first` on, oldest first, at most `limit`."""
        return self._ledger.rounds(task_id, first, limit)

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, AssignmentRow]:
        """Reads those of some assignments that there are, of any round, by id."""
        return self._ledger.recall(keys)

    def put_back(self, task_id: str, target: int, at: float) -> tuple[TaskRow, RoundRow | None]:
        """Puts a task back to the model after `target` rounds, which is kept, and removes newer ones.

        Returns:
            The task as it stands now, and its open round, which has begun anew, if it has one.
        """
        old = self._ledger.task(task_id)
        new = self.kept.put_back(old, target, at)
        if old.open and self._recorder is not None:
            self._recorder.discard(old)
        if old.open:
            self.commits.drop_round(old, new)
        self._blobs.drop_unused(old, self._ledger.tasks())
        return new, self._ledger.open_round(task_id, new.round) if new.open else None

    def change_state(self, task_id: str, state: TaskState.ValueType, at: float) -> TaskRow:
        """Moves a task to another state, unless it is over. If that ends it, its contributions are removed.

        Returns:
            The task as it stands now.
        """
        old = self._ledger.task(task_id)
        if not old.open or old.state == state:
            return old
        new = replace(old, state=state)
        self._ledger.change_state(old, new, at)
        if not new.open:
            self._forget_round(old)
        return new

    def _forget_round(self, old: TaskRow) -> None:
        """Removes the contributions of the round that was open when a task ended."""
        if self._recorder is not None:
            self._recorder.forget(old)
        self.commits.drop_contributions(old)
        del self._sums[old.task_id]
