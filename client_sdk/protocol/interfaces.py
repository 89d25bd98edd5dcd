"""The seams of the SDK: the store of a session's state, the engine that trains, and the way to the coordinator."""

from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Sequence
from math import inf
from typing import Protocol

from google.protobuf.message import Message

from client_sdk.protocol.values import (
    Ancestor,
    Carried,
    Job,
    Model,
    Positives,
    PrivateState,
    Staged,
    TrainingResult,
)
from client_sdk.weights import Weights
from fedau2.v1.task_pb2 import Resource

SOON = 2.0
"""Seconds that a call to the coordinator may take once the work is being stopped."""


class Download(Protocol):
    """A blob on its way to the device."""

    @property
    def size(self) -> int:
        """Number of bytes that have come, in this session or before it."""

    def add(self, data: bytes) -> None:
        """Appends the next bytes.

        Raises:
            BlobError: there are more bytes than declared.
        """

    def finish(self) -> bytes:
        """Returns the whole blob.

        Raises:
            BlobError: it is not the blob that was declared.
        """


class Store(Protocol):
    """One client's state: SQLite on a device, a row of the population's columns in a fleet."""

    def key(self) -> bytes:
        """The client's 16 secret bytes, made at first use."""

    def task_key(self, task_id: str) -> bytes:
        """16 secret bytes of the client for one task, so that nothing that it draws recurs in another task."""

    def positives(self, catalogue: Resource, weights: Weights | None) -> Positives:
        """The items that training may take as positives, by a plan's weights; the store must have the catalogue's blob.

        None: every interaction but a dislike counts 1.
        """

    def attribute(self, name: str) -> str | None:
        """The value of an attribute; None if it is not known."""

    def private(self, task_id: str) -> PrivateState | None:
        """Promoted private state for a task; None before the first acknowledged contribution."""

    def contributed(self, task_id: str) -> int | None:
        """The last round of a task with a contribution that was acknowledged, or may be in a sum; None: none yet.

        A masked contribution that was sent may be in a sum even if it was refused.
        """

    def blob(self, resource: Resource) -> bytes | None:
        """A cached blob; None if it is missing or damaged."""

    def download(self, resource: Resource) -> Download:
        """Begins to fetch a blob, or goes on where an earlier download of it broke off, unless that went wrong."""

    def keep_blob(self, resource: Resource, data: bytes) -> None:
        """Caches a blob that has been checked."""

    def started(self) -> Model | None:
        """The first version whose checkpoint has come in part since the last was adopted; None: there is no such one.

        Its part stays until it is adopted or abandoned, whatever else is fetched.
        """

    def start(self, model: Model, parts: Iterable[Resource]) -> None:
        """Begins to fetch a version, whose parts these are. It is the started version if there is no other.

        Blobs that belong neither to it, the current model nor the started version are removed. So no number of
        versions that are never fetched whole fills the disk.
        """

    def abandon(self, model: Model) -> None:
        """Removes what has come of a version's checkpoint."""

    def adopt(self, model: Model, carried: Carried | None = None) -> None:
        """Makes a model version the one that recommendations come from; its blobs must be cached.

        In the same transaction it keeps what was carried over to the model's task from an ancestor.
        """

    def ancestor(self, hashes: Sequence[bytes]) -> Ancestor | None:
        """Finds the first of some tasks that the client has private state for, and reads all that it has of that task.

        Args:
            hashes: SHA-256 of the tasks' manifests, the newest first.

        Returns:
            None: it has neither private state for one of them, nor contributed to one.
        """

    def staged(self) -> Staged | None:
        """The contribution whose upload is unanswered; None if nothing is staged."""

    def stage(self, staged: Staged) -> None:
        """Keeps contribution and new private state in one transaction."""

    def promote(self, assignment_id: bytes) -> None:
        """Makes the staged private state the task's private state: the contribution was acknowledged."""

    def discard(self, assignment_id: bytes, *, sent: bool = True) -> None:
        """Drops the staged contribution and private state: it was refused or, unless `sent`, no byte of it has left.

        The round of a masked one that was sent counts as contributed to: who refuses it may have it.
        """


class Identities(Protocol):
    """A device's keys and certificates, one of each for an unmasker, and the number of times that they were used."""

    def key(self, unmasker: bytes) -> bytes:
        """The 32 secret bytes of the device's Ed25519 key for an unmasker."""

    def certificate(self, unmasker: bytes) -> bytes | None:
        """The certificate that an unmasker has made; None: it has made none yet."""

    def participations(self, task_id: str) -> int:
        """Number of masked contributions to a task that may be in sums: all that were staged but those never sent."""


class Training(Protocol):
    """A local update under way."""

    @property
    def steps(self) -> int:
        """Number of local steps."""

    def step(self) -> None:
        """Takes the next local step."""

    def finish(self) -> TrainingResult:
        """Returns the result, after the last step."""


class Engine(Protocol):
    """Trains one client: by the kernel on PyTorch, or by a training graph on ONNX Runtime."""

    def begin(self, job: Job) -> Training:
        """Prepares one client's training.

        Raises:
            TaskError: the job cannot be trained here.
        """


class Transport(Protocol):
    """A blocking way to a service. A method is found by the message that it takes (`fedau2.wire.methods`).

    `timeout` is the number of seconds after which a call ends, whatever is still under way; infinity: the transport's
    own limits hold alone. All three raise `StatusError` where the call is refused, `TransportError` where it is not
    answered in time, and `UnknownMethodError` where the service has no such method.
    """

    def call(self, request: Message, timeout: float = inf) -> Message:
        """Sends one request and returns the response."""

    def receive(self, request: Message, timeout: float = inf) -> Generator[Message, None, None]:
        """Sends one request and yields the responses as they come."""

    def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        """Sends a stream of requests, all of the class `kind`, and returns the response."""


class AsyncTransport(Protocol):
    """A `Transport` for asyncio."""

    async def call(self, request: Message, timeout: float = inf) -> Message:
        """Sends one request and returns the response."""

    def receive(self, request: Message, timeout: float = inf) -> AsyncGenerator[Message, None]:
        """Sends one request and yields the responses as they come."""

    async def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        """Sends a stream of requests, all of the class `kind`, and returns the response."""
