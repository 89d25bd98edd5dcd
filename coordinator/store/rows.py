"""Rows of the ledger as values: rounds and assignments as they are stored. For tasks see `task_rows`.

A row that cannot have been stored so is a `LedgerError`.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from coordinator.store.round_log import Location
from coordinator.store.row_checks import expect, is_hash
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_REFUSED,
    ASSIGNMENT_STATE_REPORTED,
    AssignmentState,
    RoundState,
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
        norms: `ContributionNorms` of the committed contributions, serialised; empty: not known.
    """

    number: int
    newest: RoundRow
    committed: float | None
    checkpoint: bytes
    assignments: dict[int, int]
    norms: bytes


@dataclass(frozen=True)
class AssignmentRow:
    """An assignment as it is stored. A reported one has a hash and a location, a refused one only a hash.

    The admission is the hash of the one that was spent on it; empty: none was asked for. The staleness is the number of
    rounds that were committed since its check-in until it came to `round`, where it ended or still is.
    """

    assignment_id: bytes
    task_id: str
    state: AssignmentState.ValueType
    deadline: float
    sha256: bytes
    location: Location | None
    admission: bytes
    round: int
    staleness: int


def round_row(attempt: int, state: RoundState.ValueType, opened: float) -> RoundRow:
    """Makes the newest attempt of a round of its columns.

    Raises:
        LedgerError: no attempt can have these values.
    """
    whole = isinstance(attempt, int) and state in RoundState.values() and isinstance(opened, float)
    return expect(whole, RoundRow(attempt, state, opened), "round")


def assignment_row(row: sa.Row[Any]) -> AssignmentRow:
    """Makes an assignment of its columns.

    Raises:
        LedgerError: no assignment can have these values.
    """
    location = None if row.segment is None else Location(row.segment, row.offset, row.length)
    reported = row.state == ASSIGNMENT_STATE_REPORTED
    hashed = reported or row.state == ASSIGNMENT_STATE_REFUSED
    whole = (
        row.state in AssignmentState.values()
        and isinstance(row.round, int)
        and isinstance(row.attempt, int)
        and isinstance(row.deadline, float)
        and reported == (location is not None)
        and (is_hash(row.sha256) if hashed else row.sha256 is None)
        and (location is None or _is_location(location))
    )
    spent = getattr(row, "admission", b"")  # older ledgers have no such column
    whole = whole and (spent == b"" or is_hash(spent))
    named = (row.assignment_id, row.task_id, row.state, row.deadline, row.sha256 or b"")
    value = AssignmentRow(*named, location, spent, row.round, max(0, -row.attempt))
    return expect(whole, value, "assignment")


def _is_location(value: Location) -> bool:
    numbers = (value.offset, value.length)
    return isinstance(value.segment, str) and all(isinstance(number, int) and number >= 0 for number in numbers)
