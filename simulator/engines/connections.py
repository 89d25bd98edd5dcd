"""Connections to a coordinator, for devices and for the operator: in process, or over gRPC."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from math import inf
from pathlib import Path
from typing import Protocol

from google.protobuf.message import Message

from client_sdk.protocol.interfaces import AsyncTransport
from client_sdk.transport.grpc_transport import AioGrpcTransport
from client_sdk.transport.inprocess import InProcessTransport
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.unmasking import Unmasker
from coordinator.grpc.unmasker_client import UnmaskerClient
from fedau2.v1 import admin_pb2
from fedau2.wire.methods import Service
from simulator.engines.unmasker_process import UnmaskerProcess

ADMIN = Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"])
"""The service that operators call."""

_CREATION_TIMEOUT = 3600.0
"""Seconds that creating a task may take."""


class Connection(Protocol):
    """A connection to a coordinator, for devices and for the operator."""

    @property
    def transport(self) -> AsyncTransport:
        """The transport of the devices' sessions."""

    @property
    def admin(self) -> AsyncTransport:
        """The transport of the operator's calls."""

    async def close(self) -> None:
        """Closes the connection, and ends the coordinator if the connection started it."""


class InProcessConnection:
    """A `Connection` to a coordinator in this process, whose clock stands still, so that nothing expires."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self.transport = InProcessTransport(coordinator.devices)
        self.admin = InProcessTransport(coordinator.admin, ADMIN)

    @classmethod
    async def open(
        cls, folder: Path, audit: Path | None = None, unmasker: UnmaskerProcess | None = None
    ) -> "InProcessConnection":
        """Opens the coordinator's state folder; with `audit` it records every contribution there."""
        opens = None if unmasker is None else Unmasker(unmasker.identity, UnmaskerClient(unmasker.coordinators))
        return cls(await Coordinator.open(folder, clock=lambda: 0.0, audit=audit, unmasker=opens))

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
        self.admin = AioGrpcTransport(admin, timeout=10, silence=_CREATION_TIMEOUT, service=ADMIN)
        self._on_close = on_close

    async def close(self) -> None:
        """Closes the channels and calls `on_close`."""
        await self._devices.close()
        await self.admin.close()
        self._on_close()


class _BoundedTransport:
    """An `AsyncTransport` with a limited number of open streams, so that thousands of devices fit in memory."""

    _STREAMS = 64

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._incoming = asyncio.Semaphore(self._STREAMS)
        self._outgoing = asyncio.Semaphore(self._STREAMS)

    async def call(self, request: Message, timeout: float = inf) -> Message:
        return await self._transport.call(request, timeout)

    async def receive(self, request: Message, timeout: float = inf) -> AsyncGenerator[Message, None]:
        async with self._incoming, aclosing(self._transport.receive(request, timeout)) as responses:
            async for response in responses:
                yield response

    async def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        async with self._outgoing:
            return await self._transport.send(kind, requests, timeout)
