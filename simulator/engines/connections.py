"""Connections to a coordinator, for devices and for the operator: in process, or over gRPC."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

import grpc

from client_sdk.errors import TransportError
from client_sdk.protocol.interfaces import AsyncTransport
from client_sdk.transport.grpc_transport import AioGrpcTransport
from client_sdk.transport.inprocess import InProcessTransport
from coordinator.engine.service import Coordinator
from fedau2.v1 import admin_pb2, admin_pb2_grpc, device_pb2
from simulator.errors import FleetError


class Connection(Protocol):
    """A connection to a coordinator, for devices and for the operator."""

    @property
    def transport(self) -> AsyncTransport:
        """The transport of the devices' sessions."""

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """Calls AdminService.CreateTask."""

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """Calls AdminService.GetTask."""

    async def close(self) -> None:
        """Closes the connection, and ends the coordinator if the connection started it."""


class InProcessConnection:
    """A `Connection` to a coordinator in this process, whose clock stands still, so that nothing expires."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self.transport = InProcessTransport(coordinator)

    @classmethod
    async def open(cls, folder: Path, audit: Path | None = None) -> "InProcessConnection":
        """Opens the coordinator's state folder; with `audit` it records every contribution there."""
        return cls(await Coordinator.open(folder, clock=lambda: 0.0, audit=audit))

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """Calls AdminService.CreateTask."""
        return await self._coordinator.create_task(requests)

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """Calls AdminService.GetTask."""
        return await self._coordinator.get_task(request)

    async def close(self) -> None:
        """Closes the coordinator."""
        await self._coordinator.close()


class GrpcConnection:
    """A `Connection` to a coordinator's two addresses.

    Args:
        devices: the address of DeviceService.
        admin: the address of AdminService.
        on_close: called after the channels are closed, to end a coordinator that was started for the connection.
    """

    def __init__(self, devices: str, admin: str, on_close: Callable[[], None] = lambda: None) -> None:
        self._devices = AioGrpcTransport(devices)
        self.transport = _BoundedTransport(self._devices)
        self._channel = grpc.aio.insecure_channel(admin)
        self._admin = admin_pb2_grpc.AdminServiceStub(self._channel)
        self._on_close = on_close

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        """Calls AdminService.CreateTask."""
        return await _translate_errors(self._admin.CreateTask(requests))

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        """Calls AdminService.GetTask."""
        return await _translate_errors(self._admin.GetTask(request, timeout=10))

    async def close(self) -> None:
        """Closes the channels and calls `on_close`."""
        await self._devices.close()
        await self._channel.close(None)
        self._on_close()


class _BoundedTransport:
    """An `AsyncTransport` with a limited number of concurrent transfers, so that thousands of devices fit in memory."""

    _TRANSFERS = 64

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._fetches = asyncio.Semaphore(self._TRANSFERS)
        self._uploads = asyncio.Semaphore(self._TRANSFERS)

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        return await self._transport.check_in(request)

    async def fetch(self, request: device_pb2.FetchResourceRequest) -> AsyncGenerator[bytes, None]:
        async with self._fetches, aclosing(self._transport.fetch(request)) as parts:
            async for data in parts:
                yield data

    async def upload(self, header: device_pb2.UploadHeader, data: bytes) -> device_pb2.UploadContributionResponse:
        async with self._uploads:
            return await self._transport.upload(header, data)

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        return await self._transport.report_failure(request)


async def _translate_errors(call: Awaitable[admin_pb2.Task]) -> admin_pb2.Task:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            raise TransportError(f"the coordinator does not answer: {error.details()}") from error
        raise FleetError(f"the coordinator refused the call: {error.details()}") from error
