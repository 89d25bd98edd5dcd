"""Recovery of the open tasks from the ledger, the round's log and the blobs, when a coordinator starts."""

import logging
from dataclasses import dataclass, field
from threading import Event

from coordinator.engine import hidden_tasks, sums
from coordinator.engine.round_sum import Record, RoundSum
from coordinator.errors import SettingError, StoppedError
from coordinator.model.admission import VersionRange
from coordinator.model.leases import Lease
from coordinator.model.open_task import OpenTask
from coordinator.model.round_machine import RoundMachine
from coordinator.model.task import TaskSpec
from coordinator.store.ledger import Ledger
from coordinator.store.left_overs import LeftOvers, expect_no_later_rounds
from coordinator.store.openings import Openings
from coordinator.store.recording import Recorder
from coordinator.store.round_log import RoundLog, owner
from coordinator.store.rows import AssignmentRow
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import TASK_STATE_PAUSED
from fedau2.v1.task_pb2 import ClientVersions, ClosingRule
from fedau2.wire import features, manifest

_log = logging.getLogger(__name__)


@dataclass
class Recovery:
    """Recovers the open tasks, and adds the contributions of their open rounds again.

    Attributes:
        ledger: says what was acknowledged.
        log: holds the contributions.
        blobs: the blobs of all tasks.
        recorder: keeps contributions for an audit, if there is one.
        left_overs: removes what nobody needs.
        witnessed: a witness has seen that the ledger is whole. It has not if an older version made the folder.
        sums: the sum of each open round, by task id; filled by `run`.
    """

    ledger: Ledger
    log: RoundLog
    blobs: TaskBlobs
    recorder: Recorder | None
    left_overs: LeftOvers
    witnessed: bool
    sums: dict[str, RoundSum] = field(default_factory=dict)

    def run(self, now: float, stop: Event) -> list[OpenTask]:
        """Recovers all open tasks, and removes what nobody needs.

        Args:
            now: in seconds, by a clock that may have gone back.
            stop: is looked at before each contribution.

        Raises:
            StoppedError: `stop` was set.
            BlobLostError: a blob that a running task needs is missing or damaged.
            LogError: an acknowledged contribution is missing or damaged.
            LedgerError, ManifestError: the ledger is not as it was left.
        """
        rows = self.ledger.tasks()
        open_rows = [row for row in rows if row.open]
        expect_no_later_rounds(self.log, rows)
        for row in open_rows:
            self.blobs.check(row)
        tasks = [self._recover(row, now, stop) for row in open_rows]
        damaged = [path for row in open_rows for path in self.blobs.damaged(row)]
        for path in dict.fromkeys(damaged):
            _log.warning("%s is damaged. No round needs it, so it is set aside.", path)
            self.left_overs.set_aside([path])
        orphans = self.blobs.orphans(rows) + self.log.orphans({owner(row.task_id, row.round) for row in open_rows})
        # A ledger that was not witnessed may have lost the tasks and rounds that these belong to.
        (self.left_overs.delete if self.witnessed else self.left_overs.set_aside)(orphans)
        return tasks

    def _recover(self, row: TaskRow, now: float, stop: Event) -> OpenTask:
        closing, task = ClosingRule.FromString(row.closing), self.blobs.manifest(row)
        manifest.check(task)
        features.expect_known(task)
        spec = TaskSpec.of(task, closing)
        if self.recorder is not None and (reason := hidden_tasks.unrecorded(spec)):
            raise SettingError(f"task {row.task_id} cannot go on: {reason}: start without `audit`")
        leases = self._replay(row, spec, stop)
        newest = self.ledger.open_round(row.task_id, row.round)
        paused = row.state == TASK_STATE_PAUSED
        frozen = Openings(self.ledger).frozen((row.task_id, row.round, newest.attempt)) if spec.hidden else 0.0
        machine = RoundMachine(
            spec.rule, row.round, newest.opened, newest.attempt, newest.state, leases, paused, now, frozen
        )
        versions = VersionRange.of(ClientVersions.FromString(row.versions))
        return OpenTask(row.task_id, row.population, spec, versions, machine)

    def _replay(self, row: TaskRow, spec: TaskSpec, stop: Event) -> dict[bytes, Lease]:
        """Adds a round's contributions one at a time, and returns its leases."""
        total = self.sums[row.task_id] = sums.of(row, spec, self.blobs)
        leases = {}
        for assignment in self.ledger.assignments(row.task_id, row.round):
            if stop.is_set():
                raise StoppedError("the coordinator was stopped while it recovered; everything acknowledged is on disk")
            self._add(row, spec, assignment, total)
            held = (assignment.state, assignment.deadline, assignment.sha256, assignment.admission)
            leases[assignment.assignment_id] = Lease(*held, assignment.staleness)
        return leases

    def _add(self, row: TaskRow, spec: TaskSpec, assignment: AssignmentRow, total: RoundSum) -> None:
        if assignment.location is not None:
            data = self.log.read(assignment.location, assignment.sha256)
            known = (assignment.assignment_id, assignment.sha256, assignment.location, assignment.staleness)
            total.add(Record(*known), spec.decode(data))
            if self.recorder is not None:
                self.recorder.keep(row, assignment.assignment_id, data)
