"""The values of a device's side of a round, in numpy. The first axis of private state is clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from client_sdk.events import CarriedOver
from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.wire import blobs
from fedau2.wire.contributions import Update

Columns = dict[str, NDArray[np.float32]]
"""Arrays by tensor name, each of shape (clients, ...)."""

_PARTS = ("values", "first", "second")


@dataclass(frozen=True, eq=False)
class PrivateState:
    """Private tensors of some clients, with the state of their Adam optimizer.

    Attributes:
        values: the tensors, each (clients, ...).
        first: Adam's first moments, same shapes.
        second: Adam's second moments, same shapes.
        steps: Adam steps taken, int64 (clients,).
    """

    values: Columns
    first: Columns
    second: Columns
    steps: NDArray[np.int64]

    @classmethod
    def start(cls, values: Columns, clients: int) -> Self:
        """Returns the state before the first step."""
        first = {name: np.zeros_like(value) for name, value in values.items()}
        second = {name: np.zeros_like(value) for name, value in values.items()}
        return cls(values, first, second, np.zeros(clients, np.int64))

    def copy(self) -> "PrivateState":
        """Returns a copy in writable memory of its own."""
        values, first, second = ({name: value.copy() for name, value in getattr(self, part).items()} for part in _PARTS)
        return PrivateState(values, first, second, self.steps.copy())

    def pack(self) -> bytes:
        """Returns the state as safetensors."""
        arrays = {f"{part}/{name}": value for part in _PARTS for name, value in getattr(self, part).items()}
        # Adam would need 2**24 steps to outgrow float32's integers.
        return blobs.pack(arrays | {"steps": self.steps.astype(np.float32)})

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Inverse of `pack`.

        Raises:
            BlobError: `pack` did not make these bytes.
        """
        arrays = blobs.unpack(data)
        steps = arrays.pop("steps").astype(np.int64)
        parts: dict[str, Columns] = {part: {} for part in _PARTS}
        for key, value in arrays.items():
            part, _, name = key.partition("/")
            parts[part][name] = value
        return cls(**parts, steps=steps)


@dataclass(frozen=True, eq=False)
class Positives:
    """The items that training takes as a client's positives.

    Attributes:
        rows: of the catalogue, int64, sorted and unique, (n,).
        weights: of these items, float32 (n,), each above 0; None: the plan has no weights.
    """

    rows: NDArray[np.int64]
    weights: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, weights: Mapping[int, float]) -> Self:
        """Makes positives of weights by row, without the rows of weight 0."""
        rows = np.array(sorted(weights), np.int64)
        values = np.array([weights[row] for row in rows.tolist()], np.float32)
        return cls(rows[values > 0], values[values > 0])


@dataclass(frozen=True, eq=False)
class ClientData:
    """The data that one client trains on. It never leaves the device.

    Attributes:
        key: the client's 16 secret bytes for the task.
        interactions: rows of its positives, int64, sorted and unique.
        labels: class number per adversary name, without adversaries whose attribute is not known.
        state: the client's private state, of one client.
        weights: of the positives, float32; None: the plan has no weights.
    """

    key: bytes
    interactions: NDArray[np.int64]
    labels: Mapping[str, int]
    state: PrivateState
    weights: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """The facts of a training that only the device and the simulator may know.

    Attributes:
        loss: recommendation loss of the last local step, float32 (clients,).
        triggered: per adversary, True where the reversed gradient reached the protected state: bool (clients, steps).
        margin: per adversary, true class's logit less the best other's: float32 (clients, steps); NaN without a label.
    """

    loss: NDArray[np.float32]
    triggered: Mapping[str, NDArray[np.bool_]]
    margin: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The result of a training. Contribution and new private state always belong together."""

    contribution: Mapping[str, Update]
    state: PrivateState
    report: Report


@dataclass(frozen=True)
class Model:
    """A task's model version on this device, by content address."""

    task_id: str
    round: int
    manifest: Resource
    checkpoint: Resource


@dataclass(frozen=True, eq=False)
class Ancestor:
    """A task that another one goes on from, as far as a client knows it.

    Attributes:
        recommender: name of its recommender.
        state: the private state; None: it has no such state.
        items: the item ids of its catalogue, in row order; None where no private tensor has numbers for each item, or
            where they are lost.
        contributed: the last round of it, or of its own ancestors, with an acknowledged contribution; None: none.
    """

    recommender: str
    state: PrivateState | None
    items: Sequence[str] | None
    contributed: int | None


@dataclass(frozen=True, eq=False)
class Carried:
    """The state that a client carries over to a task from an ancestor.

    Attributes:
        state: the private state; None: the task's own initial state.
        contributed: counts as the last round with an acknowledged contribution; None: there was no contribution.
        event: says which tensors were carried over; None if the client had no state.
    """

    state: PrivateState | None
    contributed: int | None
    event: CarriedOver | None = None


@dataclass(frozen=True, eq=False)
class Fetched:
    """A model version that has been fetched and adopted.

    Attributes:
        tensors: the checkpoint's bytes.
        step: the training graph's bytes; empty if the task has none.
        carried: the state that was carried over to the task from an ancestor, if there was any.
    """

    tensors: bytes
    step: bytes
    carried: Carried | None


@dataclass(frozen=True, eq=False)
class Staged:
    """A trained contribution whose upload has not been answered, with the private state that belongs to it.

    Attributes:
        assignment_id: the place in a round that it was trained for.
        task_id: the task.
        round: the round.
        contribution: the bytes to upload.
        state: the new private state.
        attributes: names of the attributes that it was trained against.
        masked: it is for a secure sum, and its mask is sealed. Nothing on the device opens it.
        noise: noise multiplier of that sum; 0: it has none.
    """

    assignment_id: bytes
    task_id: str
    round: int
    contribution: bytes
    state: PrivateState
    attributes: tuple[str, ...] = ()
    masked: bool = False
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that an engine needs for one client's training.

    Attributes:
        manifest: the task.
        checkpoint: address of the start tensors.
        tensors: the checkpoint's bytes, which `fedau2.wire.encodings.decode` reads.
        round: the assignment's round.
        client: the client's own data.
        step: the training graph's bytes; empty if the task has none.
    """

    manifest: TaskManifest
    checkpoint: Resource
    tensors: bytes
    round: int
    client: ClientData
    step: bytes = b""
