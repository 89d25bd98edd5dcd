"""The end of a round: the server's step and its commit, or the round is skipped. For the writing thread."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.aggregation import erasing
from coordinator.aggregation.norms import length
from coordinator.aggregation.optimizers import server_step
from coordinator.engine.hidden_rounds import HiddenRounds
from coordinator.engine.round_sum import RoundSum
from coordinator.engine.sums import state_of
from coordinator.errors import ImplausibleSumError, LedgerError
from coordinator.model.task import TaskSpec
from coordinator.store.ledger import Ledger
from coordinator.store.recording import Recorder
from coordinator.store.round_log import RoundLog, owner
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.task_rows import TaskRow
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_UNSPECIFIED, CheckpointEncoding, TaskManifest
from fedau2.wire import encodings, manifest
from fedau2.wire.blobs import Tensors, pack, unpack
from fedau2.wire.errors import ContributionError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """A round that is over.

    Attributes:
        row: the task as it stands now.
        skipped: why the round was skipped; empty: it was committed.
    """

    row: TaskRow
    skipped: str = ""


@dataclass(frozen=True)
class Commits:
    """Ends rounds.

    Attributes:
        ledger: holds the tasks.
        blobs: of all tasks.
        log: holds the contributions of open rounds.
        sums: the sum of each open round, by task id.
        hidden: the rounds with secure sums.
        recorder: keeps contributions for an audit, if there is one.
        keep: most older models of a task that are kept, at least 1.
    """

    ledger: Ledger
    blobs: TaskBlobs
    log: RoundLog
    sums: Mapping[str, RoundSum]
    hidden: HiddenRounds
    recorder: Recorder | None
    keep: int

    def commit(self, task_id: str, spec: TaskSpec, number: int, attempt: int, at: float) -> Ended:
        """Takes the server's step on the sum of the open round, commits it, and removes what is too old.

        A round whose sum cannot be that of honest devices, or cannot be opened by the stored answer, is skipped.

        Args:
            task_id: the task.
            spec: the task's fixed rules.
            number: the round.
            attempt: the attempt that is being aggregated.
            at: now, in seconds.

        Raises:
            LedgerError: the ledger is not as this coordinator left it.
        """
        old, added = self._open_task(task_id, number), self.sums[task_id]
        try:
            self.hidden.unmask(old)
            mean, variances = added.mean(), added.variances()
        except ImplausibleSumError as error:
            return self._skip(old, str(error), at)
        except ContributionError as error:  # stored by a version that checked less
            return self._skip(old, f"the answer of the unmasker, which is stored, cannot be used: {error}", at)
        private = self.blobs.private
        checkpoint, state = unpack(self.blobs.served.get(old.checkpoint)), unpack(private.get(old.server_state))
        given = spec.manifest, checkpoint, state, mean, variances
        checkpoint, state = server_step(*given, round_number=old.given_round)
        if erasing.lacking(spec.manifest, checkpoint):
            _log.warning(
                "task %s: devices erase nothing after round %d: the plan's eraser has no maps yet. Until it has, they "
                "show states as these are, also what they trained for an ancestor without this eraser. The eraser "
                "needs users of each class in the rounds, as many as eraser.minimum says",
                old.task_id,
                number,
            )
        state |= added.remembered()
        outcome = self.blobs.served.put(pack(checkpoint)).sha256, private.put(pack(state)).sha256
        norms = added.statistics()
        norms.model = length(checkpoint, manifest.shared(spec.manifest))
        stored = norms.SerializeToString(deterministic=True)
        keep = max(self.keep, spec.rule.most_stale)  # devices may still fetch the models that they began with
        new = old.committed(*outcome, stored, keep, self.encoded(spec.manifest, checkpoint, old.encoding))
        self.ledger.commit(old, attempt, new, at, spec.rule.most_stale)
        if self.recorder is not None:
            self.recorder.end(old)
        self._forget(old, new)
        return Ended(new)

    def skip(self, task_id: str, number: int, reason: str, at: float) -> Ended:
        """Gives the open round of a task up, with its contributions, and opens the next.

        Raises:
            LedgerError: the ledger is not as this coordinator left it.
        """
        return self._skip(self._open_task(task_id, number), reason, at)

    def _skip(self, old: TaskRow, reason: str, at: float) -> Ended:
        new = old.passed_over()
        self.hidden.openings.skip(old, new, at)
        self._forget(old, new)
        return Ended(new, reason)

    def _open_task(self, task_id: str, number: int) -> TaskRow:
        row = self.ledger.task(task_id)
        if not row.open or row.round != number:
            raise LedgerError(f"the ledger has no open round {number} of task {task_id}: someone else changed it")
        return row

    def _forget(self, old: TaskRow, new: TaskRow) -> None:
        self.drop_round(old, new)
        self.blobs.drop_unused(old, self.ledger.tasks())

    def drop_round(self, old: TaskRow, new: TaskRow) -> None:
        """Forgets the contributions of a task's round that is over, and begins the task's next one."""
        self.sums[old.task_id].begin(state_of(new, self.blobs))
        self.drop_contributions(old)

    def drop_contributions(self, row: TaskRow) -> None:
        """Removes the contributions of a task's round that is over from the disk."""
        self.log.drop(owner(row.task_id, row.round))

    def encoded(self, task: TaskManifest, checkpoint: Tensors, encoding: CheckpointEncoding.ValueType) -> bytes:
        """Stores a checkpoint in the encoding in which it is offered too; returns its hash, empty without encoding."""
        if encoding == CHECKPOINT_ENCODING_UNSPECIFIED:
            return b""
        return self.blobs.served.put(encodings.encode(checkpoint, encoding, encodings.exact(task))).sha256
