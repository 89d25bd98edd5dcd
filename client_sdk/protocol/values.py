"""The values of a device's side of a round, in numpy. The first axis of private state is clients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

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
class ClientData:
    """The data that one client trains on. It never leaves the device.

    Attributes:
        key: the client's 16 secret bytes for the task.
        interactions: rows of the catalogue, int64, sorted and unique.
        labels: class number per adversary name, without adversaries whose attribute is not known.
        state: the client's private state, of one client.
    """

    key: bytes
    interactions: NDArray[np.int64]
    labels: Mapping[str, int]
    state: PrivateState


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
class Staged:
    """A trained contribution whose upload has not been answered, with the private state that belongs to it.

    Attributes:
        assignment_id: the place in a round that it was trained for.
        task_id: the task.
        round: the round.
        contribution: the bytes to upload.
        state: the new private state.
        attributes: names of the attributes that it was trained against.
    """

    assignment_id: bytes
    task_id: str
    round: int
    contribution: bytes
    state: PrivateState
    attributes: tuple[str, ...] = ()


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
