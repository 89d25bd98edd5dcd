"""Turns gRPC's errors into the SDK's."""

from collections.abc import Iterable

import grpc
from google.protobuf.message import DecodeError

from client_sdk.errors import CredentialsError, TransportError, UnknownCallError
from client_sdk.retry import window
from client_sdk.transport.unreachable import explained, temporary
from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire.status import RETRY_METADATA, Status, StatusError

# Codes that say nothing about the request itself: of a proxy, a broken connection, or a coordinator that is going down.
_UNANSWERED = {Status.CANCELLED, Status.UNKNOWN, Status.INTERNAL, Status.UNAVAILABLE}

_TURNED_AWAY = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
"""Codes of a proxy that does not let a device pass, and of a coordinator that does not accept a device's evidence."""


def translated(error: grpc.RpcError, name: str, plaintext: bool) -> StatusError | TransportError:
    """Returns the error for a call that failed.

    Args:
        error: as gRPC raised it.
        name: of the coordinator, for the error's text.
        plaintext: the call was sent without TLS.
    """
    code, details, retry = error.code(), error.details() or "no details", _retry(error)
    number = code.value[0]
    if number == Status.UNAVAILABLE and retry is not None:
        busy = TransportError(f"{name} takes no such call now: {details}")
        busy.retry = window(retry)
        return busy
    if number == Status.UNAVAILABLE:
        return TransportError(explained(name, details, plaintext), temporary(details))
    if number == Status.DEADLINE_EXCEEDED and retry is None:
        return TransportError(f"{name} did not answer in time; try again later ({details})")
    if code in _TURNED_AWAY:
        text = f"{name}, or a proxy before it, turned this device away ({code.name}): {details}"
        return CredentialsError(f"{text}; credentials and admission say who it is")
    if number in _UNANSWERED or number not in set(Status):
        kind = UnknownCallError if code is grpc.StatusCode.UNIMPLEMENTED else TransportError
        text = f"{name} answered {code.name}: is it a FedAU2 server? ({details})"
        return kind(text, temporary=number in _UNANSWERED)
    return StatusError(Status(number), details, retry)


def _retry(error: grpc.RpcError) -> RetryWindow | None:
    metadata: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    window = dict(iter(metadata)).get(RETRY_METADATA)  # older releases of grpcio have pairs as keys
    try:
        return None if window is None else RetryWindow.FromString(window)
    except DecodeError:
        return None
