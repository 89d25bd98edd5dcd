"""The tasks that a state folder knows, by the hashes of their manifests: a successor finds its ancestors here.

A task is known from the adoption of its first model on. Where its private tensors have numbers for each item, its
catalogue is kept as long as its private state, its personal state or its model is.
"""

import zlib
from collections.abc import Sequence
from contextlib import suppress
from sqlite3 import Connection

from client_sdk.protocol.values import Ancestor, Carried, Model, PrivateState
from client_sdk.store.blob_cache import BlobCache
from client_sdk.store.database import Database
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, item_axes, manifest
from fedau2.wire.errors import BlobError

TASKS = 8
"""Number of tasks whose private state is kept: those that were trained for last."""


def forget_oldest(connection: Connection) -> None:
    """Removes the private state of all tasks but `TASKS`, within a transaction. A replaced row gets a new number."""
    newest = "SELECT rowid FROM private ORDER BY rowid DESC LIMIT ?"
    connection.execute(f"DELETE FROM private WHERE rowid NOT IN ({newest})", (TASKS,))


class Lineage:
    """The known tasks of a store.

    Args:
        database: the client's. Every method raises its errors.
        cache: the store's blobs.
    """

    def __init__(self, database: Database, cache: BlobCache) -> None:
        self._database, self._cache = database, cache

    def note(self, connection: Connection, model: Model) -> None:
        """Notes a model's task within a transaction, unless it is known, and forgets what nobody needs any more."""
        known = connection.execute("SELECT 1 FROM tasks WHERE task_id = ?", (model.task_id,)).fetchone()
        data = None if known else self._cache.get(model.manifest)
        if data is not None:
            task = TaskManifest.FromString(data)
            catalogue = self._cache.get(task.catalogue) if _lists_items(task) else None
            packed = None if catalogue is None else zlib.compress(catalogue)
            row = (model.task_id, model.manifest.sha256, task.model, packed)
            connection.execute("INSERT INTO tasks VALUES (?, ?, ?, ?)", row)
        personal = "SELECT task_id FROM personalised WHERE state IS NOT NULL"
        current = f"SELECT task_id FROM private UNION SELECT task_id FROM model UNION {personal}"
        connection.execute(f"UPDATE tasks SET catalogue = NULL WHERE task_id NOT IN ({current})")
        seen = f"{current} UNION SELECT task_id FROM contributed"
        connection.execute(f"DELETE FROM tasks WHERE task_id NOT IN ({seen})")

    def keep(self, connection: Connection, model: Model, carried: Carried | None) -> None:
        """Keeps the state that was carried over to a model's task, if any, and notes the task, within a transaction."""
        if carried is not None:
            self._keep(connection, model, carried)
        self.note(connection, model)

    def _keep(self, connection: Connection, model: Model, carried: Carried) -> None:
        if carried.state is not None:
            row = (model.task_id, model.round, carried.state.pack())
            connection.execute("INSERT INTO private VALUES (?, ?, ?)", row)
            forget_oldest(connection)
        if carried.contributed is not None:
            connection.execute("INSERT INTO contributed VALUES (?, ?)", (model.task_id, carried.contributed))

    def ancestor(self, hashes: Sequence[bytes], model: Model | None) -> Ancestor | None:
        """Returns the first of some tasks that has private state here, with the last contribution to any of them.

        Args:
            hashes: of the tasks' manifests, the newest first.
            model: the current one, whose task an older version of the SDK did not note.

        Returns:
            None: there is neither private state nor a contribution.
        """
        if model is not None:
            with self._database.transaction() as connection:
                self.note(connection, model)
        places = ", ".join("?" * len(hashes))
        rounds = f"SELECT max(round) FROM contributed JOIN tasks USING (task_id) WHERE manifest IN ({places})"
        (contributed,) = self._database.one(rounds, hashes)
        query = (
            "SELECT manifest, recommender, catalogue, state FROM tasks JOIN private USING (task_id) "
            f"WHERE manifest IN ({places}) ORDER BY private.rowid"
        )
        # If two tasks have the same manifest, the one that was trained last stands.
        by_hash = {row[0]: row[1:] for row in self._database.all(query, hashes)}
        newest = next((by_hash[digest] for digest in hashes if digest in by_hash), None)
        if newest is not None:
            recommender, catalogue, state = newest
            return Ancestor(recommender, self._state(state), self._items(catalogue), contributed)
        return None if contributed is None else Ancestor("", None, None, contributed)

    def personalised(self, hashes: Sequence[bytes], model: Model) -> tuple[str, Ancestor] | None:
        """Returns the first of some tasks that has a personal state here: its id, and what is known of it but states.

        Args:
            hashes: of the tasks' manifests, the one that is preferred first.
            model: the current one, whose task an older version of the SDK did not note.
        """
        with self._database.transaction() as connection:
            self.note(connection, model)
        query = (
            "SELECT manifest, task_id, recommender, catalogue FROM tasks JOIN personalised USING (task_id) "
            f"WHERE state IS NOT NULL AND manifest IN ({', '.join('?' * len(hashes))}) ORDER BY personalised.rowid"
        )
        # If two tasks have the same manifest, the one that was personalised last stands.
        by_hash = {row[0]: row[1:] for row in self._database.all(query, hashes)}
        newest = next((by_hash[digest] for digest in hashes if digest in by_hash), None)
        if newest is None:
            return None
        task_id, recommender, catalogue = newest
        return task_id, Ancestor(recommender, None, self._items(catalogue), None)

    def _state(self, data: bytes) -> PrivateState:
        try:
            return PrivateState.unpack(data)
        except (BlobError, KeyError) as error:
            raise self._database.damaged(error) from error

    def _items(self, data: bytes | None) -> Sequence[str] | None:
        if data is not None:
            with suppress(zlib.error, BlobError):
                return blobs.catalogue(zlib.decompress(data))
        return None


def _lists_items(task: TaskManifest) -> bool:
    """Returns whether a private tensor may have numbers for each item. Older bundles do not say so."""
    return any(item_axes.of(spec) is not None or spec.shape[0] == task.items for spec in manifest.private(task))
