"""The parts of gRPC's calls."""

from collections.abc import Callable
from math import inf

from google.protobuf.message import Message

from fedau2.wire.methods import Method


def finite(timeout: float) -> float | None:
    """Returns a timeout as gRPC takes it."""
    return None if timeout == inf else timeout


def wire(method: Method) -> tuple[str, Callable[[Message], bytes], Callable[[bytes], Message]]:
    """Returns a method's path, and the functions that turn a request into bytes and bytes into a response."""
    return method.path, method.request.SerializeToString, method.response.FromString
