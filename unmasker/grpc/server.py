"""The unmasker over gRPC: devices and readers of the log on one address, coordinators on another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from fedau2.renewal import Renewed
from fedau2.wire import addresses, certificates
from fedau2.wire.errors import CertificateError
from fedau2.wire.identity.services import ENROLMENT, UNMASK
from fedau2.wire.methods import Service
from unmasker.engine.services import EnrolmentService, UnmaskService
from unmasker.engine.turns import Turns
from unmasker.errors import SettingError, UnmaskerError
from unmasker.grpc.handlers import handlers

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second unmasker on the same port must fail, not share it
    ("grpc.max_concurrent_streams", 256),  # of one connection
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)

_LARGEST = {ENROLMENT.name: 256 * 1024, UNMASK.name: 16 * 2**20}
"""Most bytes of a message, by service. A sum begins with a manifest and a masked head."""

_GRACE = 5.0
"""Seconds that calls under way have to end."""


@dataclass(frozen=True)
class Tls:
    """PEM files of an address.

    Attributes:
        certificate: the certificate, followed by those of the authorities between it and the root.
        key: its private key.
        callers: the authorities that sign the certificates of callers, who must show one; None: they need none.
    """

    certificate: Path
    key: Path
    callers: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Makes the credentials of a server. Files that are replaced later are used from the next connection on.

        Raises:
            SettingError: a file cannot be read, or they cannot be used together now.
        """
        paths = [self.certificate, self.key, *([] if self.callers is None else [self.callers])]
        renewed = Renewed("the certificate", paths, self._configuration, SettingError)
        required = self.callers is not None
        return grpc.dynamic_ssl_server_credentials(
            renewed.newest(), renewed.newest, require_client_authentication=required
        )

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        chain, key = _read(self.certificate), _read(self.key)
        authorities = None if self.callers is None else _read(self.callers)
        try:
            identity = certificates.identity(chain, key, (str(self.certificate), str(self.key)))
            identity.expect_current()
            identity.expect_host()
            if authorities is not None:
                certificates.check_authorities(authorities, str(self.callers))
        except CertificateError as error:
            raise SettingError(str(error)) from error
        return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)


class Servers:
    """The gRPC servers of an unmasker.

    Attributes:
        devices: address of EnrolmentService, with the actual port.
        coordinators: address of UnmaskService, with the actual port.
    """

    def __init__(self, servers: tuple["_Server", "_Server"]) -> None:
        self._servers = servers
        self.devices, self.coordinators = (server.address for server in servers)

    @classmethod
    async def start(
        cls, turns: Turns, devices: str, coordinators: str, tls: tuple[Tls | None, Tls | None] = (None, None)
    ) -> Self:
        """Begins to serve.

        Args:
            turns: does the work.
            devices: `host:port` for devices and readers of the log; port 0: any free port.
            coordinators: the same for coordinators.
            tls: for each of the two; None: plaintext.

        Raises:
            UnmaskerError: an address cannot be served on, or its certificate cannot be used.
        """
        servers = (
            _Server(ENROLMENT, EnrolmentService(turns), devices, tls[0]),
            _Server(UNMASK, UnmaskService(turns), coordinators, tls[1]),
        )
        for server in servers:
            await server.start()
        return cls(servers)

    async def stop(self) -> None:
        """Stops the servers and ends the calls that are under way."""
        for server in self._servers:
            await server.server.stop(_GRACE)


class _Server:
    def __init__(self, service: Service, answering: object, address: str, tls: Tls | None) -> None:
        largest = ("grpc.max_receive_message_length", _LARGEST[service.name])
        self.server = grpc.aio.server(options=(*_OPTIONS, largest))
        self.server.add_generic_rpc_handlers([handlers(service, answering)])
        self._service, self._health = service.name, health.aio.HealthServicer()  # type: ignore[attr-defined]
        added: Any = self.server  # generated code wants another class of servers
        health_pb2_grpc.add_HealthServicer_to_server(self._health, added)
        try:
            if tls is None:
                port = self.server.add_insecure_port(addresses.target(address))
            else:
                port = self.server.add_secure_port(addresses.target(address), tls.credentials())
        except (OSError, RuntimeError) as error:
            raise UnmaskerError(f"cannot serve on {address}: {error}") from error
        self.address = f"{address.rpartition(':')[0]}:{port}"

    async def start(self) -> None:
        await self.server.start()
        for name in ("", self._service):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from error
