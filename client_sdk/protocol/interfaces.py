"""The seams of the SDK: where a session's state lives, what trains, and how the coordinator is reached."""

from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client_sdk.protocol.values import Job, Model, PrivateState, Staged, TrainingResult
from fedau2.v1 import device_pb2
from fedau2.v1.task_pb2 import Resource


class Store(Protocol):
    """One client's state. SQLite on a device, a row of the population's columns in a fleet."""

    def key(self) -> bytes:
        """The client's 16 secret bytes, made at first use."""

    def salt(self, task_id: str) -> bytes:
        """At most 16 bytes, others for each task, so that two tasks of one manifest do not share what is drawn."""

    def interactions(self, catalogue: Resource) -> NDArray[np.int64]:
        """Recorded items as rows of a catalogue whose blob the store has: sorted and unique."""

    def attribute(self, name: str) -> str | None:
        """The value of an attribute, None where it is not known."""

    def private(self, task_id: str) -> PrivateState | None:
        """Promoted private state for a task, None before the first acknowledged contribution."""

    def contributed(self, task_id: str) -> int | None:
        """The last round of a task with an acknowledged contribution, None before the first."""

    def blob(self, resource: Resource) -> bytes | None:
        """A cached blob, None where it is not there or damaged."""

    def keep_blob(self, resource: Resource, data: bytes) -> None:
        """Caches a blob that has been checked."""

    def adopt(self, model: Model) -> None:
        """Makes a model version, whose blobs are cached, the one that recommendations come from."""

    def staged(self) -> Staged | None:
        """The contribution whose upload is unanswered."""

    def stage(self, staged: Staged) -> None:
        """Keeps contribution and new private state in one transaction."""

    def promote(self, assignment_id: bytes) -> None:
        """Makes the staged private state the task's private state: the contribution was acknowledged."""

    def discard(self, assignment_id: bytes) -> None:
        """Drops what is staged: the contribution was refused."""


class Training(Protocol):
    """A local update under way."""

    @property
    def steps(self) -> int:
        """Local steps in all."""

    def step(self) -> None:
        """Takes the next local step."""

    def finish(self) -> TrainingResult:
        """The result, once every step is taken."""


class Engine(Protocol):
    """What trains: the kernel behind PyTorch, later behind ONNX Runtime."""

    def begin(self, job: Job) -> Training:
        """Prepares one client's training.

        Raises:
            TaskError: the job cannot be trained here.
        """


class Transport(Protocol):
    """A blocking way to the coordinator. Methods raise `StatusError` when refused and `TransportError` unanswered."""

    def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """DeviceService.CheckIn."""

    def fetch(self, request: device_pb2.FetchResourceRequest) -> Iterator[bytes]:
        """DeviceService.FetchResource: the data of each response."""

    def upload(self, header: device_pb2.UploadHeader, data: bytes) -> device_pb2.UploadContributionResponse:
        """DeviceService.UploadContribution."""

    def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        """DeviceService.ReportFailure."""


class AsyncTransport(Protocol):
    """The same for asyncio."""

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        """DeviceService.CheckIn."""

    def fetch(self, request: device_pb2.FetchResourceRequest) -> AsyncGenerator[bytes, None]:
        """DeviceService.FetchResource: the data of each response."""

    async def upload(self, header: device_pb2.UploadHeader, data: bytes) -> device_pb2.UploadContributionResponse:
        """DeviceService.UploadContribution."""

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        """DeviceService.ReportFailure."""
