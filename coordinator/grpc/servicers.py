"""The gRPC services: every call goes through one door to the coordinator, and every error through one table."""
# ruff: noqa: N802, D102 - methods are named and described in the .proto files

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc

from coordinator.engine.coordinator import Coordinator
from coordinator.errors import StoppedError
from coordinator.model import pace
from fedau2.v1 import admin_pb2, admin_pb2_grpc, device_pb2, device_pb2_grpc
from fedau2.wire.status import RETRY_METADATA, StatusError

_log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


class Door:
    """The way in to a coordinator; shut while it recovers.

    Attributes:
        open: the coordinator, None while there is none yet.
    """

    open: Coordinator | None = None

    def coordinator(self) -> Coordinator:
        """The coordinator behind the door.

        Raises:
            StoppedError: it is still starting.
        """
        if self.open is None:
            raise StoppedError("the coordinator is starting; try again later", pace.STARTING.message())
        return self.open


async def _answer(door: Door, call: Callable[[Coordinator], Awaitable[T]], context: Context) -> T:
    try:
        return await call(door.coordinator())
    except Exception as error:
        await refuse(error, context)


async def _stream(door: Door, call: Callable[[Coordinator], AsyncIterator[T]], context: Context) -> AsyncIterator[T]:
    try:
        async for response in call(door.coordinator()):
            yield response
    except Exception as error:
        await refuse(error, context)


async def refuse(error: Exception, context: Context) -> NoReturn:
    """Answers a call with an error: a refusal with its status, anything else as a fault of the coordinator."""
    if not isinstance(error, StatusError):
        _log.error("a call failed", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "internal error; the coordinator's log says more")
    _log.info("refused: %s", type(error).__name__)  # its text may quote what a device sent
    metadata = () if error.retry is None else ((RETRY_METADATA, error.retry.SerializeToString()),)
    await context.abort(_CODES[error.status], str(error), metadata)


class Devices(device_pb2_grpc.DeviceServiceServicer):
    """DeviceService."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def CheckIn(self, request: device_pb2.CheckInRequest, context: Context) -> device_pb2.CheckInResponse:
        return await _answer(self._door, lambda coordinator: coordinator.devices.check_in(request), context)

    async def ReportFailure(
        self, request: device_pb2.ReportFailureRequest, context: Context
    ) -> device_pb2.ReportFailureResponse:
        return await _answer(self._door, lambda coordinator: coordinator.devices.report_failure(request), context)

    async def FetchResource(
        self, request: device_pb2.FetchResourceRequest, context: Context
    ) -> AsyncIterator[device_pb2.FetchResourceResponse]:
        async for response in _stream(
            self._door, lambda coordinator: coordinator.devices.fetch_resource(request), context
        ):
            yield response

    async def UploadContribution(
        self, requests: AsyncIterator[device_pb2.UploadContributionRequest], context: Context
    ) -> device_pb2.UploadContributionResponse:
        return await _answer(self._door, lambda coordinator: coordinator.devices.upload_contribution(requests), context)


class Admin(admin_pb2_grpc.AdminServiceServicer):
    """AdminService."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def CreateTask(
        self, requests: AsyncIterator[admin_pb2.CreateTaskRequest], context: Context
    ) -> admin_pb2.Task:
        return await _answer(self._door, lambda coordinator: coordinator.admin.create_task(requests), context)

    async def GetTask(self, request: admin_pb2.GetTaskRequest, context: Context) -> admin_pb2.Task:
        return await _answer(self._door, lambda coordinator: coordinator.admin.get_task(request), context)

    async def ListTasks(self, request: admin_pb2.ListTasksRequest, context: Context) -> admin_pb2.ListTasksResponse:
        return await _answer(self._door, lambda coordinator: coordinator.admin.list_tasks(request), context)

    async def PauseTask(self, request: admin_pb2.PauseTaskRequest, context: Context) -> admin_pb2.Task:
        return await _answer(self._door, lambda coordinator: coordinator.admin.pause_task(request), context)

    async def ResumeTask(self, request: admin_pb2.ResumeTaskRequest, context: Context) -> admin_pb2.Task:
        return await _answer(self._door, lambda coordinator: coordinator.admin.resume_task(request), context)

    async def StopTask(self, request: admin_pb2.StopTaskRequest, context: Context) -> admin_pb2.Task:
        return await _answer(self._door, lambda coordinator: coordinator.admin.stop_task(request), context)

    async def ListRounds(self, request: admin_pb2.ListRoundsRequest, context: Context) -> admin_pb2.ListRoundsResponse:
        return await _answer(self._door, lambda coordinator: coordinator.admin.list_rounds(request), context)

    async def WatchRounds(
        self, request: admin_pb2.WatchRoundsRequest, context: Context
    ) -> AsyncIterator[admin_pb2.Round]:
        async for response in _stream(self._door, lambda coordinator: coordinator.admin.watch_rounds(request), context):
            yield response

    async def FetchResource(
        self, request: device_pb2.FetchResourceRequest, context: Context
    ) -> AsyncIterator[device_pb2.FetchResourceResponse]:
        async for response in _stream(
            self._door, lambda coordinator: coordinator.admin.fetch_resource(request), context
        ):
            yield response
