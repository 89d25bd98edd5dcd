"""A simulated client's `Store`: a row number into the population's columns."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client_sdk.protocol.values import Model, PrivateState, Staged
from fedau2.v1.task_pb2 import Resource
from simulator.population.population import Population


class Meter(Protocol):
    """Counts what a client sends and fetches, in bytes."""

    uploaded: int
    downloaded: int


@dataclass
class Shelf:
    """Blobs in memory once for all clients of a process. Each client still fetches what it has not fetched itself."""

    data: dict[bytes, bytes] = field(default_factory=dict)
    checkpoint: bytes = b""

    def put(self, sha256: bytes, data: bytes) -> bytes:
        """Keeps one copy of data."""
        return self.data.setdefault(sha256, data)

    def retire(self, checkpoint: bytes) -> None:
        """Drops the checkpoint before this one."""
        if checkpoint != self.checkpoint:
            self.data.pop(self.checkpoint, None)
            self.checkpoint = checkpoint


class ClientStore:
    """One client of a population; `contracts.Store`. What is staged is in memory, what is promoted in the columns.

    Attributes:
        assignments: ids of the client's acknowledged contributions, oldest first.
    """

    def __init__(self, population: Population, row: int, shelf: Shelf, meter: Meter) -> None:
        self._population, self._shelf, self._meter = population, shelf, meter
        self._row = row
        self._members = np.array([row])
        self._held: set[bytes] = set()
        self._checkpoint = b""
        self._staged: Staged | None = None
        self._contributed: int | None = None
        self.assignments: list[bytes] = []

    def key(self) -> bytes:
        """The client's 16 bytes."""
        return self._population.keys[self._row]

    def salt(self, task_id: str) -> bytes:
        """Empty: a population has one task, and its coordinator draws the id anew in each run."""
        return b""

    def interactions(self, catalogue: Resource) -> NDArray[np.int64]:
        """Rows of the one catalogue that a population has."""
        return self._population.interactions[self._row]

    def attribute(self, name: str) -> str | None:
        """The value of an attribute, None where it is not known."""
        return self._population.attributes[name][self._row]

    def private(self, task_id: str) -> PrivateState:
        """The client's row of the columns; a population has one task."""
        return self._population.take(self._members)

    def contributed(self, task_id: str) -> int | None:
        """The last round with an acknowledged contribution, None before the first."""
        return self._contributed

    def blob(self, resource: Resource) -> bytes | None:
        """A blob that this client has fetched."""
        return self._shelf.data.get(resource.sha256) if resource.sha256 in self._held else None

    def keep_blob(self, resource: Resource, data: bytes) -> None:
        """Caches a blob."""
        self._shelf.put(resource.sha256, data)
        self._held.add(resource.sha256)
        self._meter.downloaded += resource.size

    def adopt(self, model: Model) -> None:
        """Forgets the checkpoint before this one."""
        if model.checkpoint.sha256 != self._checkpoint:
            self._held.discard(self._checkpoint)
            self._checkpoint = model.checkpoint.sha256
        self._shelf.retire(model.checkpoint.sha256)

    def staged(self) -> Staged | None:
        """The contribution whose upload is unanswered."""
        return self._staged

    def stage(self, staged: Staged) -> None:
        """Keeps contribution and new private state together."""
        self._staged = staged
        self._meter.uploaded += len(staged.contribution)

    def promote(self, assignment_id: bytes) -> None:
        """Writes the staged state into the columns."""
        staged = self._expect(assignment_id)
        self._population.put(self._members, staged.state)
        self.assignments.append(assignment_id)
        self._staged, self._contributed = None, staged.round

    def discard(self, assignment_id: bytes) -> None:
        """Drops what is staged."""
        self._expect(assignment_id)
        self._staged = None

    def _expect(self, assignment_id: bytes) -> Staged:
        if self._staged is None or self._staged.assignment_id != assignment_id:
            raise LookupError("another assignment is staged")
        return self._staged
