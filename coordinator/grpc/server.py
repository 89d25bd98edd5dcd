"""The coordinator over gRPC: devices on one address, operators on another."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from coordinator.engine.coordinator import Coordinator
from coordinator.errors import CoordinatorError
from coordinator.grpc.parsing import Guarded
from coordinator.grpc.servicers import Admin, Devices, Door
from fedau2.v1 import admin_pb2_grpc, device_pb2_grpc

_OPTIONS = (
    ("grpc.max_receive_message_length", 2 * 1024 * 1024),  # a chunk of 1 MiB, or a manifest
    ("grpc.so_reuseport", 0),  # a second coordinator on the same port is an error, not a lottery
)
_GRACE = 5.0
"""Seconds that calls under way have to end."""

_STARTING = health_pb2.HealthCheckResponse.UNKNOWN
_SERVING = health_pb2.HealthCheckResponse.SERVING
_DRAINING = health_pb2.HealthCheckResponse.NOT_SERVING
_HEALTH = {_STARTING: "starting", _SERVING: "serving", _DRAINING: "draining"}


@dataclass(frozen=True)
class Tls:
    """PEM files of the device address."""

    certificate: Path
    key: Path


class Servers:
    """A coordinator being served. Health: UNKNOWN while it starts, then SERVING, NOT_SERVING while it drains.

    Attributes:
        devices: address of DeviceService, with the actual port.
        admin: address of AdminService, with the actual port.
        health: "starting", "serving" or "draining".
    """

    def __init__(self, door: Door, devices: "_Server", admin: "_Server") -> None:
        self._door = door
        self.health = "starting"
        self._servers = (devices, admin)
        self.devices = devices.address
        self.admin = admin.address

    @classmethod
    async def start(cls, listen: str, admin: str, tls: Tls | None = None) -> Self:
        """Begins to answer; until `serve` every call but those for health is refused as starting.

        Args:
            listen: `host:port` for devices; port 0: any that is free.
            admin: `host:port` for operators.
            tls: for the device address; None: plaintext.

        Raises:
            CoordinatorError: an address cannot be had, or the certificate cannot be read.
        """
        door = Door()
        devices = _Server("fedau2.v1.DeviceService", listen, tls)
        device_pb2_grpc.add_DeviceServiceServicer_to_server(Devices(door), devices.services)
        operators = _Server("fedau2.v1.AdminService", admin)
        admin_pb2_grpc.add_AdminServiceServicer_to_server(Admin(door), operators.services)
        servers = cls(door, devices, operators)
        await servers._report(_STARTING)
        await asyncio.gather(devices.server.start(), operators.server.start())
        return servers

    async def serve(self, coordinator: Coordinator) -> None:
        """Lets calls in."""
        self._door.open = coordinator
        await self._report(_SERVING)

    async def drain(self, coordinator: Coordinator, seconds: float) -> None:
        """Turns check-ins away and lets uploads that are under way end, for some seconds at most."""
        await self._report(_DRAINING)
        await asyncio.wait([asyncio.ensure_future(coordinator.drain())], timeout=seconds)

    async def stop(self) -> None:
        """Ends the calls that are under way."""
        await self._report(_DRAINING)
        await asyncio.gather(*(server.server.stop(_GRACE) for server in self._servers))

    async def _report(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        self.health = _HEALTH[status]
        for server in self._servers:
            await server.report(status)


class _Server:
    def __init__(self, service: str, address: str, tls: Tls | None = None) -> None:
        self.server = grpc.aio.server(options=_OPTIONS)
        self.services: Any = Guarded(self.server)  # for generated code, which wants a server
        self._service = service
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.services)
        names = (service, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names),  # type: ignore[attr-defined]
            self.services,
        )
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

    async def report(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        for service in ("", self._service):
            await self._health.set(service, status)
