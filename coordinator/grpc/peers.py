"""The address for the other coordinators of a ledger: the leader answers the calls that they pass on."""

from collections.abc import Callable

import grpc

from coordinator.engine.admin_service import AdminService
from coordinator.engine.coordinator import Coordinator
from coordinator.engine.device_service import DeviceService
from coordinator.grpc import passed_on, peer_tls
from coordinator.grpc.binding import bind
from coordinator.grpc.gate import Gate
from coordinator.grpc.handlers import handlers
from coordinator.grpc.parsing import Guard
from coordinator.grpc.server import ADMIN, OPTIONS
from coordinator.grpc.tls import Tls
from fedau2.wire import methods

_OPTIONS = (
    *OPTIONS,
    ("grpc.max_concurrent_streams", 100_000),  # all devices of a stand-by come over one connection
    ("grpc.http2.max_ping_strikes", 0),  # its pings keep a quiet watch alive, and would otherwise end the connection
)


class Peers:
    """A gRPC server with both services. It believes what a stand-by says of callers.

    Args:
        led: gives the coordinator, or raises `StoppedError` as long as it does not lead.
        listen: `host:port` or `unix:PATH`.
        tls: the files that coordinators show each other; None: plaintext.

    Attributes:
        server: the server, which is to be started.
        address: the address with the actual port.

    Raises:
        CoordinatorError: the address cannot be served on, or the certificate cannot be used.
    """

    def __init__(self, led: Callable[[], Coordinator], listen: str, tls: Tls | None) -> None:
        expect = peer_tls.expecting(tls)
        devices = Guard(passed_on.entry(expect, lambda: led().devices.limited))
        operators = Guard(passed_on.entry(expect, lambda: led().admin_limited))
        gate = Gate(passed_on.PassedOn(), lambda: led().operations).passing
        self.server = grpc.aio.server(options=_OPTIONS)
        self.server.add_generic_rpc_handlers(
            [
                handlers(methods.DEVICE, DeviceService, lambda: led().devices, devices),
                handlers(ADMIN, AdminService, lambda: led().admin, operators, gate),
            ]
        )
        self.address = bind(self.server, listen, tls)
