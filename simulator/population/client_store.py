"""The store of a simulated client: a row of the population's columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from client_sdk.protocol.values import Carried, Model, Positives, PrivateState, Staged
from client_sdk.weights import Weights
from fedau2.v1.task_pb2 import Resource
from fedau2.wire.blobs import Assembler
from simulator.population.population import Population


class ByteCounter(Protocol):
    """Counts the bytes that clients upload and download."""

    uploaded: int
    downloaded: int


@dataclass
class BlobCache:
    """Holds each blob once for all clients of a process. A client still downloads each blob that it needs."""

    data: dict[bytes, bytes] = field(default_factory=dict)
    checkpoint: bytes = b""

    def put(self, sha256: bytes, data: bytes) -> bytes:
        """Stores a blob unless it is already there, and returns the stored copy."""
        return self.data.setdefault(sha256, data)

    def retire(self, checkpoint: bytes) -> None:
        """Replaces the current checkpoint and drops the one before it."""
        if checkpoint != self.checkpoint:
            self.data.pop(self.checkpoint, None)
            self.checkpoint = checkpoint


class ClientStore:
    """Stores the state of one client; implements `client_sdk.protocol.interfaces.Store`.

    A staged contribution is held in memory. Promoting it writes its private state into the population's columns.

    Attributes:
        assignments: assignment ids of the client's acknowledged contributions, oldest first.
    """

    def __init__(self, population: Population, row: int, cache: BlobCache, counter: ByteCounter) -> None:
        self._population, self._cache, self._counter = population, cache, counter
        self._row = row
        self._members = np.array([row])
        self._downloaded: set[bytes] = set()
        self._checkpoint = b""
        self._staged: Staged | None = None
        self._contributed: int | None = None
        self.assignments: list[bytes] = []

    def key(self) -> bytes:
        """Returns the client's secret key, 16 bytes."""
        return self._population.keys[self._row]

    def task_key(self, task_id: str) -> bytes:
        """Returns the client's key: a population has one task, and the task id differs between runs."""
        return self.key()

    def positives(self, catalogue: Resource, weights: Weights | None) -> Positives:
        """Returns the client's rows of the population's only catalogue, with the weights of its only plan."""
        population, row = self._population, self._row
        return Positives(population.interactions[row], population.weights[row] if population.weights else None)

    def attribute(self, name: str) -> str | None:
        """Returns the value of an attribute; None if it is unknown."""
        return self._population.attributes[name][self._row]

    def private(self, task_id: str) -> PrivateState:
        """Copies the client's row of the columns; a population has one task."""
        return self._population.take(self._members)

    def contributed(self, task_id: str) -> int | None:
        """Returns the last round with a contribution that counts; None before the first."""
        return self._contributed

    def blob(self, resource: Resource) -> bytes | None:
        """Returns a blob that this client has downloaded; None if it has not."""
        return self._cache.data.get(resource.sha256) if resource.sha256 in self._downloaded else None

    def download(self, resource: Resource) -> Assembler:
        """Begins to fetch a blob, which is kept in memory until it is whole."""
        return Assembler(resource)

    def started(self) -> None:
        """Returns None: a download that breaks off is not kept."""

    def start(self, model: Model, parts: Iterable[Resource]) -> None:
        """Does nothing: `adopt` forgets the checkpoint before the new one, and a population has one task."""

    def abandon(self, model: Model) -> None:
        """Does nothing, because there is no started version."""

    def keep_blob(self, resource: Resource, data: bytes) -> None:
        """Stores a downloaded blob."""
        self._cache.put(resource.sha256, data)
        self._downloaded.add(resource.sha256)
        self._counter.downloaded += resource.size

    def ancestor(self, hashes: Sequence[bytes]) -> None:
        """Returns None: a population has one task."""

    def adopt(self, model: Model, carried: Carried | None = None) -> None:
        """Switches to a model version and forgets the checkpoint before it. Nothing is ever carried over."""
        if model.checkpoint.sha256 != self._checkpoint:
            self._downloaded.discard(self._checkpoint)
            self._checkpoint = model.checkpoint.sha256
        self._cache.retire(model.checkpoint.sha256)

    def staged(self) -> Staged | None:
        """Returns the contribution whose upload has not been answered."""
        return self._staged

    def stage(self, staged: Staged) -> None:
        """Stages a contribution together with the new private state."""
        self._staged = staged
        self._counter.uploaded += len(staged.contribution)

    def promote(self, assignment_id: bytes) -> None:
        """Writes the staged state into the columns."""
        staged = self._expect(assignment_id)
        self._population.put(self._members, staged.state)
        self.assignments.append(assignment_id)
        self._staged, self._contributed = None, staged.round

    def discard(self, assignment_id: bytes, *, sent: bool = True) -> None:
        """Drops the staged contribution and its private state; a masked one that was sent keeps its round."""
        staged = self._expect(assignment_id)
        if staged.masked and sent:
            self._contributed = staged.round
        self._staged = None

    def _expect(self, assignment_id: bytes) -> Staged:
        if self._staged is None or self._staged.assignment_id != assignment_id:
            raise LookupError("another assignment is staged")
        return self._staged
