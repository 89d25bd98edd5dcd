"""Makes the sum of a task's rounds."""

from coordinator.engine.hidden_sum import HiddenSum
from coordinator.engine.round_sum import PlainSum, ReadState, RoundSum
from coordinator.model.task import TaskSpec
from coordinator.store.task_blobs import TaskBlobs
from coordinator.store.task_rows import TaskRow
from fedau2.wire.blobs import unpack


def of(row: TaskRow, spec: TaskSpec, blobs: TaskBlobs) -> RoundSum:
    """Makes an empty sum of the open round of a task."""
    return HiddenSum(row.population, spec) if spec.hidden else PlainSum(row.population, spec, state_of(row, blobs))


def state_of(row: TaskRow, blobs: TaskBlobs) -> ReadState:
    """Returns what reads the server's state of a task as it stands."""
    return lambda: unpack(blobs.private.get(row.server_state))
