"""Everything durable, and the sums. Owned by the writing thread: nothing here is called from two threads at a time."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from coordinator.aggregation import aggregators
from coordinator.aggregation.aggregators import Aggregator
from coordinator.aggregation.optimizers import server_step
from coordinator.engine.recovery import Recovery
from coordinator.engine.task_table import TaskTable
from coordinator.errors import LedgerError
from coordinator.metrics.metrics import Metrics, timed
from coordinator.model.admission import VersionRange
from coordinator.model.effects import Reported
from coordinator.model.open_task import OpenTask
from coordinator.model.round_machine import RoundMachine
from coordinator.model.task import Bundle, Contribution, TaskSpec
from coordinator.store.blob_folder import BlobFolder
from coordinator.store.disk import REAL, Disk
from coordinator.store.ledger import Ledger
from coordinator.store.left_overs import LeftOvers
from coordinator.store.migrations import NEW, WITNESSED
from coordinator.store.recording import Recorder
from coordinator.store.round_log import RoundLog, owner
from coordinator.store.rows import AssignmentRow, RoundSummary, TaskRow
from coordinator.store.state_folder import StateFolder
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.transitions import Entry
from fedau2.v1.admin_pb2 import TASK_STATE_RUNNING, TaskState
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_UNSPECIFIED, CheckpointEncoding
from fedau2.wire import encodings
from fedau2.wire.blobs import Tensors, pack, unpack

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

    Attributes:
        served: blobs that devices may fetch; its reading methods may be called from any thread.

    Raises:
        FolderLockedError: another coordinator uses the folder or the ledger.
        FolderError, LedgerError: they cannot be used, or do not belong together.
    """

    def __init__(
        self,
        path: Path,
        metrics: Metrics,
        database: str | None = None,
        disk: Disk = REAL,
        audit: Path | None = None,
    ) -> None:
        folder = StateFolder(path)
        with ExitStack() as stack:
            stack.enter_context(folder.open(disk))
            self._ledger = stack.enter_context(closing(Ledger(folder.database(database), disk)))
            if NEW < self._ledger.version < WITNESSED:
                disk.write_file(folder.unwitnessed, b"")
            self._disk, self._unwitnessed = disk, folder.unwitnessed
            stack.enter_context(closing(folder.join(self._ledger, disk)))
            self.served = BlobFolder(folder.blobs, disk)
            self._blobs = TaskBlobs(self.served, BlobFolder(folder.server_state, disk))
            self._log = stack.enter_context(closing(RoundLog(folder.log, disk)))
            self._recorder = Recorder(audit, self.served, disk) if audit is not None else None
            self._opened = stack.pop_all()
        self._left_overs = LeftOvers(folder.aside, disk)
        self._metrics = metrics
        self._totals: dict[str, Aggregator] = {}

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
        self._totals = recovery.totals
        return TaskTable(self._ledger.tasks(), open_tasks)

    def create_task(self, task_id: str, bundle: Bundle, at: float) -> tuple[TaskRow, OpenTask]:
        """Stores a new task with its blobs, and opens its first round."""
        header, spec = bundle.header, bundle.spec
        for data in bundle.blobs.values():
            self.served.put(data)
        checkpoint, state = spec.manifest.checkpoint.sha256, self._blobs.private.put(_EMPTY).sha256
        encoded = self._encoded(unpack(bundle.blobs[checkpoint]), header.checkpoints)
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
            encoding=header.checkpoints,
            encoded=encoded,
            previous_encoded=encoded,
        )
        self._ledger.create_task(row)
        self._totals[task_id] = aggregators.of(spec.manifest)
        machine = RoundMachine(spec.rule, 0, at)
        return row, OpenTask(task_id, row.population, spec, VersionRange.of(header.versions), machine)

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
            for decision in decisions:
                if (contribution := decision.contribution) is not None:
                    self._totals[decision.entry.task_id].add(contribution.updates, largest=contribution.bound)
        if self._recorder is not None:
            self._record(self._recorder, decisions)

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

    def assignment(self, assignment_id: bytes) -> AssignmentRow | None:
        """Reads an assignment of any round."""
        return self._ledger.assignment(assignment_id)

    def commit(self, task_id: str, spec: TaskSpec, number: int, attempt: int, at: float) -> TaskRow:
        """Takes the server's step on the sum of the open round, commits it, and removes what is older than that.

        Args:
            task_id: the task.
            spec: the task's fixed rules.
            number: the round.
            attempt: the attempt that is being aggregated.
            at: now, in seconds.

        Returns:
            The task as it stands now.

        Raises:
            LedgerError: the ledger is not as this coordinator left it.
        """
        old, total = self._ledger.task(task_id), self._totals[task_id]
        if not old.open or old.round != number:
            raise LedgerError(f"the ledger has no open round {number} of task {task_id}: someone else changed it")
        private = self._blobs.private
        checkpoint, state = unpack(self.served.get(old.checkpoint)), unpack(private.get(old.server_state))
        checkpoint, state = server_step(spec.manifest, checkpoint, state, total.mean())
        encoded = self._encoded(checkpoint, old.encoding)
        new = old.committed(self.served.put(pack(checkpoint)).sha256, private.put(pack(state)).sha256, encoded)
        self._ledger.commit(old, attempt, new, at)
        if self._recorder is not None:
            self._recorder.end(old)
        total.reset()
        self._log.drop(owner(task_id, number))
        self._blobs.drop_previous(old, self._ledger.tasks())
        return new

    def _encoded(self, checkpoint: Tensors, encoding: CheckpointEncoding.ValueType) -> bytes:
        """Stores a checkpoint in the encoding in which it is offered too; returns its hash, empty without encoding."""
        if encoding == CHECKPOINT_ENCODING_UNSPECIFIED:
            return b""
        return self.served.put(encodings.encode(checkpoint, encoding)).sha256

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
            del self._totals[task_id]
            if self._recorder is not None:
                self._recorder.forget(old)
            self._log.drop(owner(task_id, old.round))
        return new
