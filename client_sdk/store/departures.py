"""Remembers the contributions that were made to be uploaded, in the database of a state folder."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection

from client_sdk.protocol.values import Staged
from client_sdk.store.database import Database

MOST = 1000
"""Number of contributions that are remembered: the newest."""

UNSENT = "unsent"
"""Outcome of a contribution that was dropped before a byte of it left the device."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Departure:
    """A contribution that was made to be uploaded.

    >>> Departure("task-1", 3, moment(0), 2048, ("gender",), "counted").time.year
    1970

    Attributes:
        task_id: the task that it was made for.
        round: the task's round.
        time: when it was made, UTC.
        size: number of bytes.
        attributes: names of the attributes that it was trained against, and therefore reveals something about.
        outcome: "counted", "refused", "unanswered", "withdrawn" or "unsent". An unanswered one is sent again. The bytes
            of all but an unsent one may have arrived, also of those that were refused or whose upload broke off.
        masked: it was for a secure sum, so that the coordinator alone cannot read it.
    """

    task_id: str
    round: int
    time: datetime
    size: int
    attributes: tuple[str, ...]
    outcome: str
    masked: bool = False


def note(connection: Connection, staged: Staged) -> None:
    """Adds a contribution that is about to be uploaded, within a transaction, and drops the oldest beyond `MOST`."""
    made = (staged.task_id, staged.round, time.time_ns() // 1000, len(staged.contribution))
    fields = (*made, packed(staged.attributes), staged.masked)
    statement = "INSERT INTO departures VALUES (NULL, ?, ?, ?, ?, ?, 'unanswered', ?)"
    number = connection.execute(statement, fields).lastrowid
    connection.execute("DELETE FROM departures WHERE number <= ?", ((number or 0) - MOST,))


def settle(connection: Connection, outcome: str) -> None:
    """Enters the outcome of the newest contribution, within a transaction."""
    newest = "SELECT max(number) FROM departures"
    connection.execute(f"UPDATE departures SET outcome = ? WHERE number = ({newest})", (outcome,))


def read(database: Database) -> tuple[Departure, ...]:
    """Returns the contributions that are remembered, newest first."""
    query = "SELECT task_id, round, time, size, attributes, outcome, masked FROM departures ORDER BY number DESC"
    return tuple(
        Departure(task_id, number, moment(microseconds), size, unpacked(database, attributes), outcome, bool(masked))
        for task_id, number, microseconds, size, attributes, outcome, masked in database.all(query)
    )


def packed(names: tuple[str, ...]) -> str:
    """Turns names of attributes into the text of a column."""
    return json.dumps(names)


def unpacked(database: Database, text: str) -> tuple[str, ...]:
    """Turns the text of a column into names of attributes.

    Raises:
        StoreError: the database is damaged.
    """
    try:
        return tuple(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise database.damaged(error) from error


def moment(microseconds: int) -> datetime:
    """Turns microseconds since 1970 into a time in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
