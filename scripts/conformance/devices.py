"""A device before a session, and a coordinator's answers: a scenario of the transcripts."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client_sdk.protocol.values import PrivateState
from client_sdk.store.sqlite_store import SqliteStore
from scripts.conformance import tasks
from scripts.conformance.arrays import Json, data
from scripts.conformance.script import Answer

BUNDLE = "fedvae"


@dataclass(frozen=True, eq=False)
class Known:
    """A task that a device took part in before.

    Attributes:
        task_id: its id.
        manifest: SHA-256 of its manifest.
        recommender: name of its recommender.
        catalogue: its item ids; None where no private tensor has numbers for each item.
        state: the private state; None: it has none.
        contributed: the last round with a contribution that counted.
    """

    task_id: str
    manifest: bytes
    recommender: str
    catalogue: Sequence[str] | None
    state: PrivateState | None
    contributed: int | None

    def keep(self, store: SqliteStore) -> None:
        """Puts the task into a store."""
        items = None if self.catalogue is None else "".join(f"{item}\n" for item in self.catalogue).encode()
        row = (self.task_id, self.manifest, self.recommender, items and zlib.compress(items))
        store.database.write("INSERT INTO tasks VALUES (?, ?, ?, ?)", row)
        if self.state is not None:
            store.database.write("INSERT INTO private VALUES (?, 0, ?)", (self.task_id, self.state.pack()))
        if self.contributed is not None:
            store.database.write("INSERT INTO contributed VALUES (?, ?)", (self.task_id, self.contributed))

    def given(self) -> Json:
        """Returns the task in JSON."""
        return {
            "task_id": self.task_id,
            "manifest": data(self.manifest),
            "recommender": self.recommender,
            "catalogue": self.catalogue,
            "state": None if self.state is None else data(self.state.pack()),
            "contributed": self.contributed,
        }


@dataclass(frozen=True)
class Device:
    """A device before the session.

    Attributes:
        items: recorded ones.
        attributes: known ones.
        without_place: it could not use a place.
        wanted: it wants a newest model.
        cached: its store has all blobs that are served.
        contributed: the last round of the task with a contribution that counted.
        staged: bytes of a contribution, all 0, whose upload was not answered.
        known: the tasks that it took part in before.
    """

    items: Sequence[str] = tuple(tasks.ITEMS[1:20:3])
    attributes: Mapping[str, str] = field(default_factory=dict)
    without_place: bool = False
    wanted: bool = False
    cached: bool = False
    contributed: int | None = None
    staged: int = 0
    known: Sequence[Known] = ()


@dataclass(frozen=True)
class Scenario:
    """A device and a coordinator's answers, as for `Scripted`."""

    name: str
    device: Device
    answers: Sequence[Answer]
    served: dict[bytes, bytes]
    pieces: Sequence[int] = ()
    bundle: str = BUNDLE
