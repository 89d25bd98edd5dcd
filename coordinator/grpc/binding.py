"""Binds a gRPC server to an address."""

import grpc

from coordinator import sockets
from coordinator.errors import CoordinatorError
from coordinator.grpc.tls import Tls
from fedau2.wire import addresses


def bind(server: grpc.aio.Server, address: str, tls: Tls | None) -> str:
    """Binds a server, and returns the address with the actual port.

    Args:
        server: is not started yet.
        address: `host:port` or `unix:PATH`.
        tls: the files for TLS; None: plaintext.

    Raises:
        CoordinatorError: the address cannot be served on, or the certificate cannot be used.
    """
    try:
        if (path := addresses.unix_path(address)) is not None:
            sockets.take(path)
        target = addresses.target(address)
        port = server.add_insecure_port(target) if tls is None else server.add_secure_port(target, tls.credentials())
    except (OSError, RuntimeError) as error:
        raise CoordinatorError(f"cannot serve on {address}: {error}") from error
    return address if path is not None else f"{address.rpartition(':')[0]}:{port}"
