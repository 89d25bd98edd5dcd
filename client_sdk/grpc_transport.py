"""The place of `GrpcTransport` up to version 0.1. Import it from `client_sdk.transport.grpc_transport`."""

from client_sdk.transport.grpc_transport import GrpcTransport

__all__ = ["GrpcTransport"]
