"""Keeps a client's state in a folder: a SQLite database, blobs, and a lock that keeps other processes out."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from sqlite3 import Connection

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from client_sdk.errors import StoreError, UnsupportedTaskError
from client_sdk.interactions import Kept
from client_sdk.protocol.values import Ancestor, Carried, Model, Positives, PrivateState, Staged
from client_sdk.store import departures, identities, lineage
from client_sdk.store.catalogues import Catalogues
from client_sdk.store.exclusions import Exclusions
from client_sdk.store.folder import StateFolder
from client_sdk.store.identities import Identities
from client_sdk.store.inheritance import Inheritance
from client_sdk.store.interactions import Interactions
from client_sdk.store.lineage import Lineage, forget_oldest
from client_sdk.store.part_file import PartFile
from client_sdk.store.personalised import PersonalisedStates
from client_sdk.store.releases import LeastSequences
from client_sdk.weights import Weights
from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire.errors import BlobError

INTERACTIONS = 100_000
"""Most interactions that are kept by default."""

_COUNT = "INSERT OR REPLACE INTO contributed SELECT task_id, round FROM staged"


class SqliteStore:
    """The `interfaces.Store` of one device. Every change is one transaction, durable on return. Safe between threads.

    Its size is bounded: see `INTERACTIONS`, `lineage.TASKS` and `departures.MOST`. It keeps the blobs of one model.

    Args:
        folder: made if it does not exist, with permissions for its owner only, because it holds the client's secrets.
        interactions: most interactions that are kept; with more, those with the oldest times are dropped.
        key: 32 bytes that encrypt the database; None: it is not encrypted.

    Raises:
        StoreKeyError: the key does not open it.
        StoreLockedError: another client has opened it.
        StoreVersionError: a newer SDK wrote it.
        StoreClosedError: it has been closed. Every method may raise this and the next two.
        StoreForkedError: another process opened it, and this one was forked from that one.
        StoreError: it is damaged, not a client's, or has lost its database; or the disk fails.

    Attributes:
        personalised: the personal state of each task.
        identities: the device's keys and certificates.
        releases: the least sequence numbers of bundles that are accepted.
    """

    def __init__(self, folder: Path, interactions: int = INTERACTIONS, key: bytes | None = None) -> None:
        self._folder, self._state = folder, StateFolder(folder, key)
        self.database, self._blobs = self._state.database, self._state.blobs
        self._catalogues = Catalogues(self._blobs)
        self._lineage = Lineage(self.database, self._blobs)
        self._interactions = Interactions(self.database, interactions)
        self.excluded, self.identities = Exclusions(self.database), Identities(self.database)
        self.personalised = PersonalisedStates(self.database, lineage.TASKS)
        self.releases = LeastSequences(self.database)
        self._inheritance = Inheritance(self._lineage, self._blobs, self.personalised)

    def close(self) -> None:
        """Closes the folder and lets other clients open it, as `StateFolder.close` does."""
        self._state.close()

    def held(self) -> AbstractContextManager[None]:
        """Keeps other threads from reading or changing the store meanwhile."""
        return self.database.errors()

    @property
    def folder(self) -> Path:
        """The state folder."""
        return self._folder

    def ensure_open(self) -> None:
        """Returns if the store is open: once it is closed, the folder may belong to another client."""
        self.database.ensure_open()

    @property
    def changes(self) -> int:
        """A number that grows with every change of the database. Reading it does not wait for other threads."""
        return self.database.changes

    def key(self) -> bytes:
        """The client's 16 secret bytes."""
        row = self.database.one("SELECT key FROM client")
        if row is None:
            raise self.database.damaged("the client's key is missing")
        return bytes(row[0])

    def task_key(self, task_id: str) -> bytes:
        """16 secret bytes, derived from the client's key and the task's id."""
        return hashlib.blake2b(task_id.encode(), digest_size=16, key=self.key(), person=b"fedau2 task").digest()

    def record(self, item: str, at: int) -> None:
        """Adds an interaction; `at` is in microseconds since 1970, UTC. An item may be recorded many times."""
        self.record_many([Kept(item, at)])

    def record_many(self, interactions: Sequence[Kept]) -> int:
        """Adds interactions: all of them, or none with a StoreError.

        Returns the number of older ones that were dropped for them.
        """
        return self._interactions.add(interactions)

    def recorded(self) -> int:
        """The number of interactions that are kept."""
        return self._interactions.count()

    def ever_recorded(self) -> int:
        """The number of interactions that were ever recorded, also those that were dropped or forgotten since."""
        return self._interactions.ever()

    def unlisted(self, catalogue: Resource) -> int | None:
        """The number of interactions whose items a catalogue does not list; None if the store lacks its blob."""
        with self.held():
            rows = self.rows(catalogue)
            return None if rows is None else self._interactions.unlisted(rows)

    def interactions(self, catalogue: Resource) -> NDArray[np.int64]:
        """Recorded items as rows of a catalogue, sorted and unique, without items that the catalogue does not list.

        Raises:
            UnsupportedTaskError: the blob is not a catalogue.
            StoreError: the store lacks the catalogue's blob.
        """
        with self.held():
            return self._interactions.listed(self._listed(catalogue))

    def positives(self, catalogue: Resource, weights: Weights | None) -> Positives:
        """The items that training may take as positives, by a plan's weights. Raises as `interactions` does."""
        with self.held():
            return self._interactions.positives(self._listed(catalogue), weights)

    def rows(self, catalogue: Resource) -> Mapping[str, int] | None:
        """Rows by item id, in row order; None if the store lacks the catalogue's blob, as in `Catalogues`."""
        with self.held():
            return self._catalogues.rows(catalogue)

    def attribute(self, name: str) -> str | None:
        """The value of an attribute; None if it is not known."""
        row = self.database.one("SELECT value FROM attributes WHERE name = ?", (name,))
        return None if row is None else str(row[0])

    def set_attribute(self, name: str, value: str | None) -> None:
        """Keeps an attribute's value in place of an older one. None forgets it and leaves no trace in the files."""
        if value is None:
            self.database.write("DELETE FROM attributes WHERE name = ?", (name,))
            self.database.scrub()
        else:
            self.database.write("INSERT OR REPLACE INTO attributes VALUES (?, ?)", (name, value))

    def attribute_names(self) -> tuple[str, ...]:
        """Names of the attributes that are known, sorted."""
        return tuple(name for (name,) in self.database.all("SELECT name FROM attributes ORDER BY name"))

    def private(self, task_id: str) -> PrivateState | None:
        """Promoted private state for a task; None before the first acknowledged contribution."""
        row = self.database.one("SELECT state FROM private WHERE task_id = ?", (task_id,))
        return None if row is None else self._unpack(row[0])

    def contributed(self, task_id: str) -> int | None:
        """The last round of a task with a contribution that counts; see `interfaces.Store.contributed`."""
        row = self.database.one("SELECT round FROM contributed WHERE task_id = ?", (task_id,))
        return None if row is None else row[0]

    def blob(self, resource: Resource) -> bytes | None:
        """A cached blob. None: it is missing, or was damaged and has been removed."""
        with self.held():
            return self._blobs.get(resource)

    def removed(self) -> list[str]:
        """The hexadecimal hashes of the damaged blobs that have been removed since the last call."""
        return self._blobs.take_removed()

    def download(self, resource: Resource) -> PartFile:
        """Begins to fetch a blob, or goes on where that broke off."""
        with self._in_use():
            return self._blobs.download(resource, self._in_use)

    def keep_blob(self, resource: Resource, data: bytes) -> None:
        """Caches a checked blob."""
        with self._in_use():
            self._blobs.put(resource, data)

    def started(self) -> Model | None:
        """The model version whose download has begun first; None where no checkpoint has come in part."""
        with self._in_use():
            return self._blobs.started()

    def start(self, model: Model, parts: Iterable[Resource]) -> None:
        """Removes the blobs that belong neither to this version, the current model nor the started version."""
        with self._in_use():
            self._blobs.start(model)
            kept = [version for version in (self.model(), self._blobs.started()) if version is not None]
            named = set[str]().union(*map(self._blobs.of, kept))
            self._blobs.keep_only(named | {part.sha256.hex() for part in (model.manifest, *parts)})

    def abandon(self, model: Model) -> None:
        """Removes what has come of a version's checkpoint."""
        with self._in_use():
            self._blobs.abandon(model)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self.held():
            self.ensure_open()
            yield

    def model(self) -> Model | None:
        """The model version that recommendations come from; None before the first."""
        row = self.database.one("SELECT task_id, round, manifest, checkpoint FROM model")
        if row is None:
            return None
        try:
            return Model(row[0], row[1], Resource.FromString(row[2]), Resource.FromString(row[3]))
        except DecodeError as error:
            raise self.database.damaged(error) from error

    def ancestor(self, hashes: Sequence[bytes]) -> Ancestor | None:
        """Finds the first of some tasks that there is private state for, see `Lineage.ancestor`."""
        with self.held():
            return self._lineage.ancestor(hashes, self.model())

    def adopt(self, model: Model, carried: Carried | None = None) -> None:
        """Makes a model version the current one and removes all blobs that it does not name. Its blobs must be cached.

        The state that was carried over to its task is kept with it, and so is the personal state of a relative.

        Raises:
            UnsupportedTaskError: its catalogue cannot be used; the model before it stays.
        """
        with self.held():
            named = self._check(model)
            addresses = (model.manifest.SerializeToString(), model.checkpoint.SerializeToString())
            inherited = self._inheritance.of(model, self.model(), self.task_key(model.task_id))
            statement = "INSERT OR REPLACE INTO model VALUES (1, ?, ?, ?, ?)"
            with self.database.transaction() as connection:
                connection.execute(statement, (model.task_id, model.round, *addresses))
                self._lineage.keep(connection, model, carried)
                if inherited is not None:
                    self.personalised.put(connection, model.task_id, inherited)
            self._blobs.keep_only(named)

    def staged(self) -> Staged | None:
        """The contribution whose upload is unanswered; None if nothing is staged."""
        columns = "assignment_id, task_id, round, contribution, state, attributes, masked, noise"
        row = self.database.one(f"SELECT {columns} FROM staged")
        if row is None:
            return None
        attributes = departures.unpacked(self.database, row[5])
        return Staged(row[0], row[1], row[2], row[3], self._unpack(row[4]), attributes, bool(row[6]), row[7])

    def stage(self, staged: Staged) -> None:
        """Keeps contribution and new private state in one transaction. Raises StoreError if one is staged already."""
        place = (staged.assignment_id, staged.task_id, staged.round)
        attributes = departures.packed(staged.attributes)
        fields = (*place, staged.contribution, staged.state.pack(), attributes, staged.masked, staged.noise)
        with self.database.transaction() as connection:
            if connection.execute("SELECT 1 FROM staged").fetchone():
                raise StoreError(f"{self._folder}: a contribution is staged already: promote or discard it first")
            connection.execute("INSERT INTO staged VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", fields)
            departures.note(connection, staged)
            if staged.masked:
                identities.participate(connection, staged.task_id, staged.noise)

    def promote(self, assignment_id: bytes) -> None:
        """Makes the staged private state the task's. Raises StoreError if the assignment is not staged."""
        promote = "INSERT OR REPLACE INTO private SELECT task_id, round, state FROM staged WHERE assignment_id = ?"
        with self.database.transaction() as connection:
            connection.execute(promote, (assignment_id,))
            forget_oldest(connection)
            connection.execute(_COUNT)
            self._unstage(connection, assignment_id, "counted")

    def discard(self, assignment_id: bytes, *, sent: bool = True) -> None:
        """Drops the staged contribution and private state. Raises StoreError if the assignment is not staged.

        A masked one that was sent may be in a sum, whatever the answer was: it stays counted, and its round is kept.
        """
        with self.database.transaction() as connection:
            if sent:
                connection.execute(f"{_COUNT} WHERE masked")
            else:
                identities.take_back(connection)
            self._unstage(connection, assignment_id, "refused" if sent else departures.UNSENT)

    def withdraw(self, connection: Connection) -> None:
        """Drops the staged contribution and private state, within a transaction.

        The contribution may have been counted, so its round is not repeated.
        """
        for (assignment_id,) in connection.execute("SELECT assignment_id FROM staged").fetchall():
            connection.execute(_COUNT)
            self._unstage(connection, assignment_id, "withdrawn")

    def _unstage(self, connection: Connection, assignment_id: bytes, outcome: str) -> None:
        departures.settle(connection, outcome)
        if connection.execute("DELETE FROM staged WHERE assignment_id = ?", (assignment_id,)).rowcount != 1:
            raise StoreError(f"{self._folder}: nothing is staged for assignment {assignment_id.hex()}")

    def _check(self, model: Model) -> set[str]:
        # The names of the model's blobs. The session that adopts the model has checked its manifest.
        data = self.blob(model.manifest)
        if data is None:
            raise StoreError(f"{self._folder}: the task's manifest is missing or damaged; sync again to fetch it")
        task = TaskManifest.FromString(data)
        listed = len(self._listed(task.catalogue))
        if listed != task.items:
            raise UnsupportedTaskError(f"the task's catalogue lists {listed} items and its manifest {task.items}")
        return self._blobs.of(model)

    def _listed(self, catalogue: Resource) -> Mapping[str, int]:
        rows = self.rows(catalogue)
        if rows is None:
            raise StoreError(f"{self._folder}: the task's catalogue is missing or damaged; sync again to fetch it")
        return rows

    def _unpack(self, data: bytes) -> PrivateState:
        try:
            return PrivateState.unpack(data)
        except (BlobError, KeyError) as error:
            raise self.database.damaged(error) from error
