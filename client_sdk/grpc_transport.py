"""The place and the methods of `GrpcTransport` up to version 0.1. Use `client_sdk.transport.grpc_transport` instead."""

from collections.abc import Callable

from google.protobuf.message import Message

from client_sdk.transport import grpc_transport
from fedau2.wire.methods import DEVICE

__all__ = ["GrpcTransport"]

_UNARY = frozenset(method.handler for method in DEVICE if not (method.takes_stream or method.gives_stream))


class GrpcTransport(grpc_transport.GrpcTransport):
    """The transport, whose unary calls have names too, for example `check_in(request)` for `call(request)`."""

    def __getattr__(self, name: str) -> Callable[[Message], Message]:
        """Returns `call` for the name of a unary method."""
        if name in _UNARY:
            return self.call
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
