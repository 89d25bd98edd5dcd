"""Rounds with secure sums, as the writing thread sees them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coordinator.engine.hidden_sum import Frozen, HiddenSum
from coordinator.engine.round_sum import RoundSum
from coordinator.model.effects import Refused
from coordinator.store.openings import Openings
from coordinator.store.round_log import RoundLog
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.task_rows import Opening, TaskRow
from coordinator.store.transitions import Attempt, Entry


@dataclass(frozen=True)
class Answer:
    """A sum that an unmasker has opened, as it was checked.

    Attributes:
        members: hash of the set of contributions.
        withheld: rows and tensors that stay closed, see `OpenedSum`.
        masks: the packed sum of the masks.
    """

    members: bytes
    withheld: bytes
    masks: bytes


@dataclass(frozen=True)
class HiddenRounds:
    """The steps of rounds with secure sums that other rounds do not have. For the writing thread.

    Attributes:
        openings: the ledger's part of them.
        blobs: keep the sum of the masks until the commit.
        log: holds the contributions.
        sums: the sum of each open round, by task id.
    """

    openings: Openings
    blobs: TaskBlobs
    log: RoundLog
    sums: Mapping[str, RoundSum]

    def frozen(self, task_id: str) -> Frozen:
        """Returns what the unmasker is shown of a round whose contributions are fixed."""
        return self._sum(task_id).frozen()

    def refuse(self, entries: Iterable[Entry]) -> None:
        """Takes the contributions that are refused by these entries, which are stored, out of their sums."""
        for entry in entries:
            if isinstance(entry.effect, Refused):
                self._sum(entry.task_id).refuse(entry.effect.assignment_id, self.log.read)

    def opened(self, key: Attempt, answer: Answer, at: float) -> None:
        """Stores the answer of an unmasker; the attempt is aggregated from then on.

        Raises:
            LedgerError: the attempt was not opening.
        """
        masks = self.blobs.private.put(answer.masks).sha256
        self.openings.open(key, Opening(answer.members, answer.withheld, masks), at)

    def unmask(self, row: TaskRow) -> None:
        """Opens the sum of a task's round by the answer that is stored, if the task has secure sums.

        Raises:
            BlobLostError: the answer is missing or damaged.
        """
        if row.opening is not None:
            self._sum(row.task_id).open(self.blobs.private.get(row.opening.masks), row.opening.withheld)

    def _sum(self, task_id: str) -> HiddenSum:
        found = self.sums[task_id]
        assert isinstance(found, HiddenSum)
        return found
