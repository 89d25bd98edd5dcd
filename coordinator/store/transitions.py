"""The ledger's transitions in SQL. Each changes exactly the rows that it is meant for, and adds history rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coordinator.errors import LedgerError
from coordinator.model import effects
from coordinator.store.round_log import Location
from coordinator.store.tables import assignment, assignment_history, round_attempt, round_history, task, task_history
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_ASSIGNED,
    ASSIGNMENT_STATE_EXPIRED,
    ASSIGNMENT_STATE_FAILED,
    ASSIGNMENT_STATE_REFUSED,
    ASSIGNMENT_STATE_REPORTED,
    ASSIGNMENT_STATE_UNSPECIFIED,
    ROUND_STATE_ABANDONED,
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_COLLECTING,
    ROUND_STATE_OPENING,
    ROUND_STATE_UNSPECIFIED,
    AssignmentState,
    RoundState,
    TaskState,
)

Attempt = tuple[str, int, int]
"""Key of an attempt: task id, round, number of the attempt."""

_ENDS: dict[type[effects.Effect], AssignmentState.ValueType] = {
    effects.Reported: ASSIGNMENT_STATE_REPORTED,
    effects.Failed: ASSIGNMENT_STATE_FAILED,
    effects.Expired: ASSIGNMENT_STATE_EXPIRED,
}

_INSERT = sa.insert(assignment)
_UPDATE = sa.update(assignment).where(
    assignment.c.assignment_id == sa.bindparam("key"), assignment.c.state == ASSIGNMENT_STATE_ASSIGNED
)
_REMEMBER = sa.insert(assignment_history)


@dataclass(frozen=True)
class Entry:
    """One effect of a round, to be made durable.

    Attributes:
        task_id: the task.
        round: the round.
        at: time of the effect, in seconds.
        effect: the effect.
        location: location of the contribution, for `Reported`.
    """

    task_id: str
    round: int
    at: float
    effect: effects.Effect
    location: Location | None = None


def write(connection: Connection, entries: Sequence[Entry]) -> None:
    """Stores effects, with one statement for all effects of a kind.

    Raises:
        LedgerError: a row was not in the state that it must be in.
    """
    # An assignment is made before it ends, and it ends once. So the kinds can be stored one after another.
    if made := [entry for entry in entries if isinstance(entry.effect, effects.Assigned)]:
        _assign(connection, made)
    for kind, state in _ENDS.items():
        if ended := [entry for entry in entries if isinstance(entry.effect, kind)]:
            _end(connection, ended, state)
    if refused := [entry.effect.assignment_id for entry in entries if isinstance(entry.effect, effects.Refused)]:
        _give_up(connection, refused, ASSIGNMENT_STATE_REFUSED, entries[0].at)
    for entry in entries:
        _move_attempt(connection, entry)


def _assign(connection: Connection, entries: Sequence[Entry]) -> None:
    rows = [
        {"task_id": entry.task_id, "round": entry.round, "state": ASSIGNMENT_STATE_ASSIGNED, **vars(entry.effect)}
        for entry in entries
    ]
    connection.execute(_INSERT, rows)
    _remember(connection, entries, ASSIGNMENT_STATE_UNSPECIFIED, ASSIGNMENT_STATE_ASSIGNED)


def _end(connection: Connection, entries: Sequence[Entry], state: AssignmentState.ValueType) -> None:
    rows = [_ended(entry, state) for entry in entries]
    expect(connection.execute(_UPDATE, rows).rowcount, len(rows), "assignment")
    _remember(connection, entries, ASSIGNMENT_STATE_ASSIGNED, state)


def _ended(entry: Entry, state: AssignmentState.ValueType) -> dict[str, Any]:
    columns = {"state": state, **vars(entry.effect)}
    columns["key"] = columns.pop("assignment_id")
    columns.pop("staleness", None)  # the row has it already
    return columns if entry.location is None else {**columns, **vars(entry.location)}


def _remember(
    connection: Connection,
    entries: Sequence[Entry],
    old: AssignmentState.ValueType,
    new: AssignmentState.ValueType,
) -> None:
    rows = [
        {"assignment_id": vars(entry.effect)["assignment_id"], "old": old, "new": new, "at": entry.at}
        for entry in entries
    ]
    connection.execute(_REMEMBER, rows)


def _move_attempt(connection: Connection, entry: Entry) -> None:
    match entry.effect:
        case effects.Abandoned(attempt, frozen):
            old, new = ROUND_STATE_OPENING if frozen else ROUND_STATE_COLLECTING, ROUND_STATE_ABANDONED
        case effects.Closed(attempt):
            old, new = ROUND_STATE_COLLECTING, ROUND_STATE_AGGREGATING
        case effects.Frozen(attempt):
            old, new = ROUND_STATE_COLLECTING, ROUND_STATE_OPENING
        case _:
            return
    move_round(connection, (entry.task_id, entry.round, attempt), old, new, entry.at)
    if new == ROUND_STATE_ABANDONED:
        open_attempt(connection, (entry.task_id, entry.round, attempt + 1), entry.at)


def replace_task(connection: Connection, old: Mapping[str, Any], new: Mapping[str, Any], at: float) -> None:
    """Changes the columns of a task.

    Raises:
        LedgerError: its state or its number of rounds is not the old one.
    """
    unchanged = [task.c[name] == old[name] for name in ("task_id", "round", "state")]
    expect(connection.execute(sa.update(task).where(*unchanged).values(new)).rowcount, 1, "task")
    if old["state"] != new["state"]:
        remember_task(connection, new["task_id"], old["state"], new["state"], at)


def remember_task(
    connection: Connection, task_id: str, old: TaskState.ValueType, new: TaskState.ValueType, at: float
) -> None:
    """Stores that a task has moved from one state to another."""
    connection.execute(sa.insert(task_history), {"task_id": task_id, "old": old, "new": new, "at": at})


def open_attempt(connection: Connection, key: Attempt, at: float) -> None:
    """Stores a new attempt of a round."""
    columns = {**key_columns(key), "state": ROUND_STATE_COLLECTING, "opened": at}
    connection.execute(sa.insert(round_attempt), columns)
    _remember_round(connection, key, ROUND_STATE_UNSPECIFIED, ROUND_STATE_COLLECTING, at)


def move_round(
    connection: Connection,
    key: Attempt,
    old: RoundState.ValueType,
    new: RoundState.ValueType,
    at: float,
    outcome: Mapping[str, bytes] | None = None,
) -> None:
    """Moves an attempt from one state to another, and sets further columns.

    Raises:
        LedgerError: it was not in the old state.
    """
    this_attempt = [round_attempt.c[name] == value for name, value in key_columns(key).items()]
    update = (
        sa.update(round_attempt).where(*this_attempt, round_attempt.c.state == old).values(state=new, **(outcome or {}))
    )
    expect(connection.execute(update).rowcount, 1, "round")
    _remember_round(connection, key, old, new, at)


def _remember_round(
    connection: Connection, key: Attempt, old: RoundState.ValueType, new: RoundState.ValueType, at: float
) -> None:
    connection.execute(sa.insert(round_history), {**key_columns(key), "old": old, "new": new, "at": at})


def key_columns(key: Attempt) -> dict[str, str | int]:
    """Returns the columns of an attempt's key."""
    return dict(zip(("task_id", "round", "attempt"), key, strict=True))


def expire_leases(connection: Connection, task_id: str, number: int, at: float) -> None:
    """Ends every live lease of a round."""
    live = (
        assignment.c.task_id == task_id,
        assignment.c.round == number,
        assignment.c.state == ASSIGNMENT_STATE_ASSIGNED,
    )
    moved = (sa.literal(int(ASSIGNMENT_STATE_ASSIGNED)), sa.literal(int(ASSIGNMENT_STATE_EXPIRED)), sa.literal(at))
    history = sa.select(assignment.c.assignment_id, *moved).where(*live)
    connection.execute(sa.insert(assignment_history).from_select(["assignment_id", "old", "new", "at"], history))
    connection.execute(sa.update(assignment).where(*live).values(state=ASSIGNMENT_STATE_EXPIRED))


def begin_anew(connection: Connection, task_id: str, number: int, at: float) -> None:
    """Ends every assignment of a round that is live or reported, and opens the round's next attempt."""
    reported = (
        assignment.c.task_id == task_id,
        assignment.c.round == number,
        assignment.c.state == ASSIGNMENT_STATE_REPORTED,
    )
    if keys := connection.scalars(sa.select(assignment.c.assignment_id).where(*reported)).all():
        give_up(connection, keys, at)
    expire_leases(connection, task_id, number, at)
    of_round = (round_attempt.c.task_id == task_id, round_attempt.c.round == number)
    newest = sa.select(round_attempt.c.attempt, round_attempt.c.state).where(*of_round)
    attempt, state = connection.execute(newest.order_by(round_attempt.c.attempt.desc()).limit(1)).one()
    move_round(connection, (task_id, number, attempt), state, ROUND_STATE_ABANDONED, at)
    open_attempt(connection, (task_id, number, attempt + 1), at)


def give_up(connection: Connection, keys: Sequence[bytes], at: float) -> None:
    """Ends reported assignments as if their leases had run out. They lose their contributions.

    Raises:
        LedgerError: an assignment was not reported.
    """
    _give_up(connection, keys, ASSIGNMENT_STATE_EXPIRED, at)


def _give_up(connection: Connection, keys: Sequence[bytes], new: AssignmentState.ValueType, at: float) -> None:
    reported = (assignment.c.assignment_id == sa.bindparam("key"), assignment.c.state == ASSIGNMENT_STATE_REPORTED)
    # A device that repeats a refused contribution is answered as before, so its hash stays.
    lost = ["segment", "offset", "length", *(["sha256"] if new == ASSIGNMENT_STATE_EXPIRED else [])]
    update = sa.update(assignment).where(*reported).values(state=new, **dict.fromkeys(lost))
    expect(connection.execute(update, [{"key": key} for key in keys]).rowcount, len(keys), "assignment")
    moved = {"old": ASSIGNMENT_STATE_REPORTED, "new": new, "at": at}
    connection.execute(sa.insert(assignment_history), [{"assignment_id": key, **moved} for key in keys])


def expect(changed: int, expected: int, rows: str) -> None:
    """Returns if a statement changed as many rows of a kind as it should have.

    Raises:
        LedgerError: the numbers differ.
    """
    if changed != expected:
        raise LedgerError(
            f"the ledger holds {changed} of {expected} {rows} rows in the state that this coordinator left them in: "
            "someone else changed them"
        )
