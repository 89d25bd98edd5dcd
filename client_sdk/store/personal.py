"""Reads, exports and removes what a state folder holds about its user."""

import secrets
from typing import Any

from client_sdk.interactions import Kept
from client_sdk.protocol.values import PrivateState
from client_sdk.store import departures, personalised
from client_sdk.store.departures import Departure
from client_sdk.store.sqlite_store import SqliteStore

_OF_THE_USER = ("interactions", "excluded", "attributes", "private", "personalised", "departures")
_IDENTITY = ("identities", "participations")
"""Tables that `delete` empties."""


class PersonalData:
    """The data of a store about its user.

    Args:
        store: the client's state. Every method raises its errors.
    """

    def __init__(self, store: SqliteStore) -> None:
        self._store, self._database = store, store.database

    def departures(self) -> tuple[Departure, ...]:
        """Returns the contributions that were made to be uploaded, newest first."""
        return departures.read(self._database)

    def trained(self) -> bool:
        """Returns True if vectors of the user are kept."""
        vectors = self._database.one("SELECT 1 FROM private LIMIT 1")
        return vectors is not None or bool(self._store.personalised.tasks())

    def export(self) -> dict[str, Any]:
        """Returns interactions, attributes, vectors and so on, as plain values that `json.dumps` takes."""
        with self._store.held():
            staged = self._store.staged()
            return {
                "interactions": [
                    kept._asdict() | {"time": departures.moment(kept.time).isoformat()}
                    for kept in map(Kept._make, self._database.all("SELECT * FROM interactions ORDER BY time, rowid"))
                ],
                "excluded": list(self._store.excluded.all()),
                "attributes": dict(self._database.all("SELECT name, value FROM attributes ORDER BY name")),
                "vectors": {
                    task_id: _values(self._store.private(task_id))
                    for (task_id,) in self._database.all("SELECT task_id FROM private ORDER BY task_id")
                },
                "personal_vectors": {
                    task_id: _values(self._store.personalised.get(task_id).state)
                    for task_id in self._store.personalised.tasks()
                },
                "contributions": [
                    vars(departure) | {"time": departure.time.isoformat(), "attributes": list(departure.attributes)}
                    for departure in self.departures()
                ],
                "unanswered": len(staged.contribution) if staged else 0,
                "enrolments": self._store.identities.export(),
            }

    def forget_attribute(self, name: str) -> None:
        """Removes an attribute's value and, if it was ever trained with, the private state and what is staged."""
        trained = any(name in departure.attributes for departure in self.departures())
        trained = trained or self._store.personalised.trained_with(name)
        with self._database.transaction() as connection:
            if connection.execute("DELETE FROM attributes WHERE name = ?", (name,)).rowcount or trained:
                self._store.withdraw(connection)
                connection.execute("DELETE FROM private")
                personalised.forget(connection)
        self._database.scrub()

    def forget_item(self, item: str, at: int | None) -> int:
        """Removes the interactions with an item, and what is staged; returns the number of interactions.

        Args:
            item: its id.
            at: only those of this time, in microseconds since 1970, UTC; None: all.
        """
        chosen, values = ("item = ?", (item,)) if at is None else ("item = ? AND time = ?", (item, at))
        with self._database.transaction() as connection:
            removed = connection.execute(f"DELETE FROM interactions WHERE {chosen}", values).rowcount
            if removed:
                self._store.withdraw(connection)
                personalised.forget(connection)
        self._database.scrub()
        return removed

    def delete(self) -> None:
        """Removes everything about the user and makes a new secret key; see `Privacy.delete_data` for what stays.

        Raises:
            StoreError: the disk is full, or another program reads the database.
        """
        with self._database.transaction() as connection:
            self._store.withdraw(connection)
            for table in (*_OF_THE_USER, *_IDENTITY):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("UPDATE client SET key = ?, recorded = 0", (secrets.token_bytes(16),))
        self._database.scrub()


def _values(state: PrivateState | None) -> dict[str, Any]:
    return {} if state is None else {name: value[0].tolist() for name, value in state.values.items()}
