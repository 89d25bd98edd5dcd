"""The older models that a task keeps: whether it can be put back to one, and the change. For the writing thread."""

from dataclasses import dataclass

from coordinator.errors import BlobLostError, LedgerError
from coordinator.store.ledger import Ledger
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.task_rows import TaskRow


@dataclass(frozen=True)
class KeptModels:
    """The older models of all tasks.

    Attributes:
        ledger: says which they are.
        blobs: their tensors and server states.
    """

    ledger: Ledger
    blobs: TaskBlobs

    def why_lost(self, task_id: str, target: int) -> str | None:
        """Says why a task cannot be put back to the model after `target` rounds; None: it can."""
        row = self.ledger.task(task_id)
        model = row.kept_model(target)
        if model is None:
            return "it is not kept any more"
        try:
            self.blobs.check_kept(row, model)
        except BlobLostError as error:
            return str(error)
        return None

    def put_back(self, old: TaskRow, target: int, at: float) -> TaskRow:
        """Puts a task back in the ledger.

        Args:
            old: the task.
            target: number of rounds after which its kept model was the newest.
            at: now, in seconds.

        Returns:
            The task as it stands now.

        Raises:
            LedgerError: the ledger is not as this coordinator left it.
        """
        model = old.kept_model(target)
        if model is None:
            raise LedgerError(
                f"the ledger keeps no model after {target} rounds of task {old.task_id}: someone else changed it"
            )
        new = old.put_back(model, self.blobs.manifest(old).plan.minimum_separation)
        self.ledger.put_back(old, new, target, at)
        return new
