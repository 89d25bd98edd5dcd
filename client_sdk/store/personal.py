"""Reads, exports and removes what a state folder holds about its user."""

import secrets
from typing import Any

from client_sdk.protocol.values import PrivateState
from client_sdk.store import departures, personalised
from client_sdk.store.departures import Departure
from client_sdk.store.sqlite_store import SqliteStore


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

    def export(self) -> dict[str, Any]:
        """Returns interactions, attributes, vectors and contributions, as plain values that `json.dumps` takes."""
        with self._store.held():
            staged = self._store.staged()
            return {
                "interactions": [
                    {"item": item, "time": departures.moment(time).isoformat()}
                    for item, time in self._database.all("SELECT item, time FROM interactions ORDER BY time, rowid")
                ],
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

    def delete(self) -> None:
        """Removes everything about the user and makes a new secret key; see `Privacy.delete_data` for what stays.

        Raises:
            StoreError: the disk is full, or another program reads the database.
        """
        with self._database.transaction() as connection:
            self._store.withdraw(connection)
            for table in ("interactions", "attributes", "private", "personalised", "departures"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("UPDATE client SET key = ?", (secrets.token_bytes(16),))
        self._database.scrub()


def _values(state: PrivateState | None) -> dict[str, Any]:
    return {} if state is None else {name: value[0].tolist() for name, value in state.values.items()}
