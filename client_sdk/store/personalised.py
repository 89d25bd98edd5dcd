"""The personal state of each task in the database of a state folder: what personal steps have made of private state."""

import json
from dataclasses import dataclass
from sqlite3 import Connection

from client_sdk.protocol.values import PrivateState
from client_sdk.store.database import Database
from fedau2.wire.errors import BlobError


@dataclass(frozen=True, eq=False)
class Personalised:
    """The personal state of a task.

    Attributes:
        steps: number of personal steps that have been taken for the task. It never shrinks while the client has its
            key, also when the state is forgotten, because the randomness of a step is drawn by its number.
        state: the private tensors that recommendations come from; None: no step was taken, or it was forgotten.
        attributes: names of the attributes that it was trained with.
        checkpoint: SHA-256 of the checkpoint on which the last personalisation was completed; empty before, and where
            the state was carried over from another task.
        recorded: number of interactions that had ever been recorded then.
    """

    steps: int = 0
    state: PrivateState | None = None
    attributes: tuple[str, ...] = ()
    checkpoint: bytes = b""
    recorded: int = 0


class PersonalisedStates:
    """The personal states of a client. No contribution depends on them.

    Args:
        database: the client's. Every method raises its errors.
        most: most tasks whose state is kept: those that were personalised last.
    """

    def __init__(self, database: Database, most: int) -> None:
        self._database, self._most = database, most

    def get(self, task_id: str) -> Personalised:
        """Returns the personal state of a task."""
        query = "SELECT steps, state, attributes, checkpoint, recorded FROM personalised WHERE task_id = ?"
        row = self._database.one(query, (task_id,))
        if row is None:
            return Personalised()
        try:
            state = None if row[1] is None else PrivateState.unpack(row[1])
            return Personalised(row[0], state, tuple(json.loads(row[2])), row[3], row[4])
        except (BlobError, KeyError, ValueError) as error:
            raise self._database.damaged(error) from error

    def served(self, task_id: str, promoted: PrivateState | None) -> PrivateState | None:
        """Returns the private state that recommendations come from; None before the first.

        It is the personal state, unless the promoted one has taken more steps since personal steps were turned off.
        """
        personal = self.get(task_id).state
        if promoted is None or personal is None:
            return promoted or personal
        return promoted if promoted.steps[0] > personal.steps[0] else personal

    def completed(self, task_id: str) -> tuple[bytes, int]:
        """Returns the checkpoint and the number of recorded interactions of a task's last completed personalisation.

        They are those of its `Personalised`, whose state is not read.
        """
        row = self._database.one("SELECT checkpoint, recorded FROM personalised WHERE task_id = ?", (task_id,))
        return (b"", 0) if row is None else (row[0], row[1])

    def keep(self, task_id: str, personalised: Personalised) -> None:
        """Keeps the personal state of a task with the number of its steps, in one transaction."""
        with self._database.transaction() as connection:
            self.put(connection, task_id, personalised)

    def put(self, connection: Connection, task_id: str, personalised: Personalised) -> None:
        """Keeps it within a transaction."""
        state = None if personalised.state is None else personalised.state.pack()
        attributes = json.dumps(personalised.attributes)
        fields = (personalised.steps, state, attributes, personalised.checkpoint, personalised.recorded)
        newest = "SELECT rowid FROM personalised ORDER BY rowid DESC LIMIT ?"  # a replaced row gets a new number
        connection.execute("INSERT OR REPLACE INTO personalised VALUES (?, ?, ?, ?, ?, ?)", (task_id, *fields))
        connection.execute(f"{_FORGET} WHERE state IS NOT NULL AND rowid NOT IN ({newest})", (self._most,))

    def tasks(self) -> tuple[str, ...]:
        """Returns the tasks that have a personal state, sorted."""
        query = "SELECT task_id FROM personalised WHERE state IS NOT NULL ORDER BY task_id"
        return tuple(task_id for (task_id,) in self._database.all(query))

    def trained_with(self, attribute: str) -> bool:
        """Returns True if a personal state was trained with an attribute."""
        rows = self._database.all("SELECT attributes FROM personalised WHERE state IS NOT NULL")
        return any(attribute in json.loads(names) for (names,) in rows)


_FORGET = "UPDATE personalised SET state = NULL, attributes = '[]', checkpoint = x'', recorded = 0"


def forget(connection: Connection) -> None:
    """Forgets all personal states, within a transaction. The numbers of steps stay."""
    connection.execute(_FORGET)
