"""Rows of the ledger as values: tasks, rounds and assignments as they are stored.

A row that cannot have been stored so is a `LedgerError`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import sqlalchemy as sa
from google.protobuf.message import DecodeError, Message

from coordinator.errors import LedgerError
from coordinator.store.round_log import Location
from coordinator.store.tables import OPEN_STATES
from fedau2.v1.admin_pb2 import ASSIGNMENT_STATE_REPORTED, TASK_STATE_FINISHED, AssignmentState, RoundState, TaskState
from fedau2.v1.task_pb2 import (
    CHECKPOINT_ENCODING_UNSPECIFIED,
    CheckpointEncoding,
    ClientVersions,
    ClosingRule,
)

R = TypeVar("R")


@dataclass(frozen=True)
class TaskRow:
    """A task as it is stored.

    Hashes address blobs. Those of encoded checkpoints are empty without an `encoding`. `closing` is a serialised
    `ClosingRule`, `versions` a serialised `ClientVersions`. A device is given the number of a round plus `skipped`, so
    that no number is given twice after a copy was restored.
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
    skipped: int = 0
    encoding: CheckpointEncoding.ValueType = CHECKPOINT_ENCODING_UNSPECIFIED
    encoded: bytes = b""
    previous_encoded: bytes = b""

    @property
    def open(self) -> bool:
        """The task has an open round: it is neither finished nor stopped."""
        return self.state in OPEN_STATES

    def committed(self, checkpoint: bytes, server_state: bytes, encoded: bytes = b"") -> "TaskRow":
        """Returns the row as it is after the commit of its open round, with the hashes of the outcome."""
        last = self.round + 1 == self.rounds
        return replace(
            self,
            state=TASK_STATE_FINISHED if last else self.state,
            round=self.round + 1,
            checkpoint=checkpoint,
            server_state=server_state,
            previous_checkpoint=self.checkpoint,
            encoded=encoded,
            previous_encoded=self.encoded,
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


_HASHES = ("manifest", "checkpoint", "server_state", "previous_checkpoint", "previous_server_state")
_TEXTS = ("task_id", "population")


def task_row(values: Mapping[str, Any]) -> TaskRow:
    """Makes a task of its columns.

    Raises:
        LedgerError: no task can have these values.
    """
    row = TaskRow(**values)
    whole = (
        all(isinstance(values[name], str) for name in _TEXTS)
        and all(_is_hash(values[name]) for name in _HASHES)
        and row.state in TaskState.values()
        and isinstance(row.created, float)
        and all(isinstance(number, int) for number in (row.rounds, row.round, row.skipped))
        and 0 <= row.round <= row.rounds
        and row.skipped >= 0
        and _parses(ClosingRule, row.closing)
        and _parses(ClientVersions, row.versions)
        and row.encoding in CheckpointEncoding.values()
        and all(_is_hash(hash) if row.encoding else hash == b"" for hash in (row.encoded, row.previous_encoded))
    )
    return _expect(whole, row, f"task {row.task_id!r}")


def round_row(attempt: int, state: RoundState.ValueType, opened: float) -> RoundRow:
    """Makes the newest attempt of a round of its columns.

    Raises:
        LedgerError: no attempt can have these values.
    """
    whole = isinstance(attempt, int) and state in RoundState.values() and isinstance(opened, float)
    return _expect(whole, RoundRow(attempt, state, opened), "round")


def assignment_row(row: sa.Row[Any]) -> AssignmentRow:
    """Makes an assignment of its columns.

    Raises:
        LedgerError: no assignment can have these values.
    """
    location = None if row.segment is None else Location(row.segment, row.offset, row.length)
    reported = row.state == ASSIGNMENT_STATE_REPORTED
    whole = (
        row.state in AssignmentState.values()
        and isinstance(row.deadline, float)
        and reported == (location is not None) == (row.sha256 is not None)
        and (location is None or (_is_location(location) and _is_hash(row.sha256)))
    )
    value = AssignmentRow(row.assignment_id, row.task_id, row.state, row.deadline, row.sha256 or b"", location)
    return _expect(whole, value, "assignment")


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _is_location(value: Location) -> bool:
    numbers = (value.offset, value.length)
    return isinstance(value.segment, str) and all(isinstance(number, int) and number >= 0 for number in numbers)


def _parses(kind: type[Message], value: bytes) -> bool:
    try:
        kind.FromString(value)
    except (DecodeError, TypeError):
        return False
    return True


def _expect(whole: bool, row: R, name: str) -> R:
    if not whole:
        raise LedgerError(
            f"a row of the ledger is damaged: the {name} has values that none can have; restore the ledger together "
            "with the state folder from a copy"
        )
    return row
