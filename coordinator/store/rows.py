"""Rows of the ledger as values: tasks, rounds and assignments as they are stored."""

from dataclasses import dataclass, replace

from coordinator.store.round_log import Location
from coordinator.store.tables import OPEN_STATES
from fedau2.v1.admin_pb2 import TASK_STATE_FINISHED, AssignmentState, RoundState, TaskState


@dataclass(frozen=True)
class TaskRow:
    """A task as it is stored.

    Hashes address blobs. `closing` is a serialised `ClosingRule`, `versions` a serialised `ClientVersions`.
    """

    task_id: str
    population: str
    state: TaskState.ValueType
    created: float
    rounds: int
    round: int
    manifest: bytes
    closing: bytes
    checkpoint: bytes
    server_state: bytes
    previous_checkpoint: bytes
    previous_server_state: bytes
    versions: bytes = b""

    @property
    def open(self) -> bool:
        """The task has an open round: it is neither finished nor stopped."""
        return self.state in OPEN_STATES

    def committed(self, checkpoint: bytes, server_state: bytes) -> "TaskRow":
        """Returns the row as it is after the commit of its open round, with the hashes of the outcome."""
        last = self.round + 1 == self.rounds
        return replace(
            self,
            state=TASK_STATE_FINISHED if last else self.state,
            round=self.round + 1,
            checkpoint=checkpoint,
            server_state=server_state,
            previous_checkpoint=self.checkpoint,
            previous_server_state=self.server_state,
        )


@dataclass(frozen=True)
class RoundRow:
    """The newest attempt of a round."""

    attempt: int
    state: RoundState.ValueType
    opened: float


@dataclass(frozen=True)
class RoundSummary:
    """A round with its newest attempt.

    Attributes:
        number: from 0.
        newest: its newest attempt.
        committed: when it was committed, in seconds; None: not yet.
        checkpoint: SHA-256 of the checkpoint that the commit made; empty: not yet.
        assignments: number of assignments in each state, over all attempts.
    """

    number: int
    newest: RoundRow
    committed: float | None
    checkpoint: bytes
    assignments: dict[int, int]


@dataclass(frozen=True)
class AssignmentRow:
    """An assignment as it is stored. A reported one has a hash and a location."""

    assignment_id: bytes
    task_id: str
    state: AssignmentState.ValueType
    deadline: float
    sha256: bytes
    location: Location | None
