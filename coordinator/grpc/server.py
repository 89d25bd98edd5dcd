"""The coordinator over gRPC: devices on one address, operators on another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from coordinator.engine.admin_service import AdminService
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.device_service import DeviceService
from coordinator.grpc.binding import bind
from coordinator.grpc.callers import Callers
from coordinator.grpc.door import Door, StandBy
from coordinator.grpc.handlers import Answers, Observe, handlers, unobserved
from coordinator.grpc.health import Health
from coordinator.grpc.operators import ByToken, Operators
from coordinator.grpc.parsing import Guard, Guarded
from coordinator.grpc.status import Context
from coordinator.grpc.tls import Tls
from fedau2.v1 import admin_pb2
from fedau2.wire import methods

LARGEST = 2 * 1024 * 1024
"""Most bytes of a request: a chunk of 1 MiB, or a manifest."""

OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.so_reuseport", 0),  # a second coordinator on the same port must fail, not share it
    ("grpc.max_concurrent_streams", 256),  # of one connection
    ("grpc.http.overload_protection", 0),  # it refuses calls of clients that keep to the limit
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.keepalive_time_ms", 60_000),  # a device that went away or sleeps in the middle of a call does not answer
    ("grpc.keepalive_timeout_ms", 20_000),
)
"""Options of every gRPC server of a coordinator."""

_DEVICES_OPTIONS = (
    *OPTIONS,
    ("grpc.max_connection_age_ms", 3_600_000),  # what is held open and not used ends some time
    ("grpc.max_connection_age_grace_ms", 3_600_000),  # the longest that calls under way may go on then
)

ADMIN = methods.Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"])
"""The methods that operators call."""

REFLECTIONS = 20
"""Most requests of a reflection stream; it ends then."""

GRACE = 5.0
"""Seconds that calls under way have to end."""

_STARTING = health_pb2.HealthCheckResponse.UNKNOWN
_SERVING = health_pb2.HealthCheckResponse.SERVING
_DRAINING = health_pb2.HealthCheckResponse.NOT_SERVING
STANDING_BY = "standing by"
"""Health of a coordinator that passes calls on to the leader."""

_HEALTH = {_STARTING: "starting", _SERVING: "serving", _DRAINING: "draining"}


class Servers:
    """The gRPC servers of a coordinator.

    Their health is UNKNOWN while the coordinator starts, then SERVING, and NOT_SERVING while it drains.

    Attributes:
        devices: address of DeviceService, with the actual port.
        admin: address of AdminService, with the actual port.
        door: leads calls to the coordinator.
        health: "starting", "serving", "standing by" or "draining".
        answers: gives the object that answers devices, for a server of another protocol.
    """

    def __init__(self, door: Door, devices: "_Server", admin: "_Server") -> None:
        self.door = door
        self.answers: Answers = door.devices
        self.health = "starting"
        self._servers = (devices, admin)
        self.devices = devices.address
        self.admin = admin.address

    @classmethod
    async def start(
        cls,
        listen: str,
        admin: str,
        tls: Tls | None = None,
        admin_tls: Tls | None = None,
        admin_roles: Path | None = None,
        by_token: ByToken | None = None,
        observe: Observe = unobserved,
    ) -> Self:
        """Begins to answer. Until `serve`, every call but those for health is refused as starting.

        Args:
            listen: `host:port` or `unix:PATH` for devices; port 0: any free port.
            admin: the same for operators.
            tls: for the device address; None: plaintext.
            admin_tls: for the operators' address; None: plaintext.
            admin_roles: file of the operators' roles; None: every operator is an administrator.
            by_token: names operators by the tokens that they show; None: no token counts.
            observe: surrounds each call.

        Raises:
            CoordinatorError: an address cannot be served on, or the certificate cannot be used.
        """
        door = Door()
        certified = admin_tls is not None and admin_tls.client_authorities is not None
        gate = door.gate(Operators(certified=certified, roles=admin_roles, by_token=by_token))
        guard, admin_guard = Guard(Callers(door.limited).passing), Guard(Callers(door.admin_limited).passing)
        device_handlers = handlers(methods.DEVICE, DeviceService, door.devices, guard, observe=observe)
        devices = _Server(methods.DEVICE, device_handlers, listen, _DEVICES_OPTIONS, guard, tls)
        admin_handlers = handlers(ADMIN, AdminService, door.admin, admin_guard, gate, observe)
        operators = _Server(ADMIN, admin_handlers, admin, OPTIONS, admin_guard, admin_tls)
        servers = cls(door, devices, operators)
        servers._report(_STARTING)
        await asyncio.gather(devices.server.start(), operators.server.start())
        return servers

    async def serve(self, coordinator: Coordinator) -> None:
        """Lets calls reach a coordinator."""
        self.door.coordinator, self.door.stand_by = coordinator, None
        self._report(_SERVING)

    def stand_by(self, stand_by: StandBy, led: bool) -> None:
        """Lets a stand-by answer, until `serve`. It can as long as a leader is known."""
        self.door.stand_by = stand_by
        self._report(_SERVING if led else _STARTING)
        self.health = STANDING_BY if led else self.health

    async def drain(self, coordinator: Coordinator, seconds: float) -> None:
        """Turns check-ins away, and waits for uploads that are under way, for at most so many seconds."""
        self._report(_DRAINING)
        await asyncio.wait([asyncio.ensure_future(coordinator.drain())], timeout=seconds)

    async def stop(self) -> None:
        """Stops the servers and ends the calls that are under way."""
        self._report(_DRAINING)
        await asyncio.gather(*(server.server.stop(GRACE) for server in self._servers))

    def _report(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        self.health = _HEALTH[status]
        for server in self._servers:
            server.health.report(status)


class _Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc,name-defined]
    """Reflection that answers few requests of a stream, so that a limit of calls bounds the requests too."""

    async def ServerReflectionInfo(self, request_iterator: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:  # noqa: N802
        """Answers a stream of requests, which ends after `REFLECTIONS` of them."""
        async for answer in super().ServerReflectionInfo(_first(request_iterator), context):
            yield answer


async def _first(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    left = REFLECTIONS
    async for request in requests:
        yield request
        left -= 1
        if not left:
            return


class _Server:
    def __init__(
        self,
        service: methods.Service,
        handlers: "grpc.GenericRpcHandler[Any, Any]",
        address: str,
        options: Sequence[tuple[str, int]],
        guard: Guard,
        tls: Tls | None = None,
    ) -> None:
        self.server = grpc.aio.server(options=options)
        self.server.add_generic_rpc_handlers([handlers])  # first, because a method is looked for in order
        self.health = Health(service.name)
        guarded: Any = Guarded(self.server, guard)  # for generated code, which wants a server
        health_pb2_grpc.add_HealthServicer_to_server(self.health, guarded)
        names = (service.name, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            _Reflection(names),
            guarded,
        )
        self.address = bind(self.server, address, tls)
