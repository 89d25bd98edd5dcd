"""The coordinator over gRPC: devices on one address, operators on another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]

from coordinator.errors import CoordinatorError
from coordinator.service import Coordinator
from fedau2.v1 import admin_pb2, admin_pb2_grpc, device_pb2, device_pb2_grpc
from fedau2.wire.status import RETRY_METADATA, StatusError

_log = logging.getLogger(__name__)

_OPTIONS = (
    ("grpc.max_receive_message_length", 2 * 1024 * 1024),  # a chunk of 1 MiB, or a manifest
    ("grpc.so_reuseport", 0),  # a second coordinator on the same port is an error, not a lottery
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_GRACE = 5.0
"""Seconds that calls under way have to end."""

T = TypeVar("T")
_Context = grpc.aio.ServicerContext[Any, Any]


async def _answer(call: Awaitable[T], context: _Context) -> T:
    try:
        return await call
    except Exception as error:
        await _refuse(error, context)


async def _refuse(error: Exception, context: _Context) -> NoReturn:
    if not isinstance(error, StatusError):
        _log.error("a call failed", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "internal error; the coordinator's log says more")
    metadata = () if error.retry is None else ((RETRY_METADATA, error.retry.SerializeToString()),)
    await context.abort(_CODES[error.status], str(error), metadata)


class _Devices(device_pb2_grpc.DeviceServiceServicer):
    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def CheckIn(  # noqa: N802 - named by gRPC
        self, request: device_pb2.CheckInRequest, context: _Context
    ) -> device_pb2.CheckInResponse:
        return await _answer(self._coordinator.check_in(request), context)

    async def FetchResource(  # noqa: N802
        self, request: device_pb2.FetchResourceRequest, context: _Context
    ) -> AsyncIterator[device_pb2.FetchResourceResponse]:
        try:
            async for response in self._coordinator.fetch_resource(request):
                yield response
        except Exception as error:
            await _refuse(error, context)

    async def UploadContribution(  # noqa: N802
        self, requests: AsyncIterator[device_pb2.UploadContributionRequest], context: _Context
    ) -> device_pb2.UploadContributionResponse:
        return await _answer(self._coordinator.upload_contribution(requests), context)

    async def ReportFailure(  # noqa: N802
        self, request: device_pb2.ReportFailureRequest, context: _Context
    ) -> device_pb2.ReportFailureResponse:
        return await _answer(self._coordinator.report_failure(request), context)


class _Admin(admin_pb2_grpc.AdminServiceServicer):
    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def CreateTask(  # noqa: N802
        self, requests: AsyncIterator[admin_pb2.CreateTaskRequest], context: _Context
    ) -> admin_pb2.Task:
        return await _answer(self._coordinator.create_task(requests), context)

    async def PauseTask(self, request: admin_pb2.PauseTaskRequest, context: _Context) -> admin_pb2.Task:  # noqa: N802
        return await _answer(self._coordinator.pause_task(request), context)

    async def ResumeTask(self, request: admin_pb2.ResumeTaskRequest, context: _Context) -> admin_pb2.Task:  # noqa: N802
        return await _answer(self._coordinator.resume_task(request), context)

    async def StopTask(self, request: admin_pb2.StopTaskRequest, context: _Context) -> admin_pb2.Task:  # noqa: N802
        return await _answer(self._coordinator.stop_task(request), context)

    async def GetTask(self, request: admin_pb2.GetTaskRequest, context: _Context) -> admin_pb2.Task:  # noqa: N802
        return await _answer(self._coordinator.get_task(request), context)

    async def ListTasks(  # noqa: N802
        self, request: admin_pb2.ListTasksRequest, context: _Context
    ) -> admin_pb2.ListTasksResponse:
        return await _answer(self._coordinator.list_tasks(request), context)


@dataclass(frozen=True)
class Tls:
    """PEM files of the device address."""

    certificate: Path
    key: Path


class Servers:
    """A coordinator being served.

    Attributes:
        devices: address of DeviceService, with the actual port.
        admin: address of AdminService, with the actual port.
    """

    def __init__(self, devices: "_Server", admin: "_Server") -> None:
        self._servers = (devices, admin)
        self.devices = devices.address
        self.admin = admin.address

    @classmethod
    async def start(cls, coordinator: Coordinator, listen: str, admin: str, tls: Tls | None = None) -> Self:
        """Begins to serve.

        Args:
            coordinator: open.
            listen: `host:port` for devices; port 0: any that is free.
            admin: `host:port` for operators.
            tls: for the device address; None: plaintext.

        Raises:
            CoordinatorError: an address cannot be had, or the certificate cannot be read.
        """
        devices = _Server(listen, tls)
        device_pb2_grpc.add_DeviceServiceServicer_to_server(_Devices(coordinator), devices.server)
        operators = _Server(admin)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(_Admin(coordinator), operators.server)
        await devices.start("fedau2.v1.DeviceService")
        await operators.start("fedau2.v1.AdminService")
        return cls(devices, operators)

    async def stop(self) -> None:
        """Reports that nothing is served any more, and ends the calls that are under way."""
        await asyncio.gather(*(server.stop() for server in self._servers))


class _Server:
    def __init__(self, address: str, tls: Tls | None = None) -> None:
        self.server = grpc.aio.server(options=_OPTIONS)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        try:
            port = self._bind(address, tls)
        except (OSError, RuntimeError) as error:
            raise CoordinatorError(f"cannot serve on {address}: {error}") from error
        self.address = f"{address.rpartition(':')[0]}:{port}"

    def _bind(self, address: str, tls: Tls | None) -> int:
        if tls is None:
            return self.server.add_insecure_port(address)
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        return self.server.add_secure_port(address, grpc.ssl_server_credentials([pair]))

    async def start(self, service: str) -> None:
        await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        await self.server.start()

    async def stop(self) -> None:
        await self._health.enter_graceful_shutdown()
        await self.server.stop(_GRACE)
