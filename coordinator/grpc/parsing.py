"""What is no message is refused behind the door: gRPC would answer it with UNKNOWN, as if the fault were here."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from coordinator.errors import InvalidRequestError
from coordinator.grpc.servicers import Context, refuse

Handler = Any  # a grpc.RpcMethodHandler, whose type hides that it is a named tuple


@dataclass(frozen=True)
class _Unreadable:
    """In place of a message: bytes that are none. They are not kept."""

    size: int

    @property
    def error(self) -> InvalidRequestError:
        """How the call is refused."""
        return InvalidRequestError(f"a request of {self.size} bytes is no message of this method")


class Guarded:
    """Stands for a server where services are added to it: requests that cannot be parsed are then refused.

    An interceptor could do the same, at the cost of a coroutine more for every call.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """The same handlers without their names; see `add_registered_method_handlers`."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Adds a service's methods, as the generated code has it."""
        guarded = {name: _guarded(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))


def _guarded(handler: Handler) -> Handler:
    parse = handler.request_deserializer
    if handler.request_streaming:
        # An empty message is part of no stream that we take: it is refused where it is read, at no cost to others.
        return handler._replace(request_deserializer=partial(_parsed, parse, lambda _: parse(b"")))
    kind = "unary_stream" if handler.response_streaming else "unary_unary"
    call = getattr(handler, kind)
    guard = _guard_stream if inspect.isasyncgenfunction(call) else _guard
    return handler._replace(request_deserializer=partial(_parsed, parse, _Unreadable), **{kind: guard(call)})


def _parsed(parse: Callable[[bytes], Any], otherwise: Callable[[int], Any], data: bytes) -> Any:  # noqa: ANN401
    try:
        return parse(data)
    except DecodeError:
        return otherwise(len(data))


def _guard(call: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401
        if isinstance(request, _Unreadable):
            await refuse(request.error, context)
        return await call(request, context)

    return guarded


def _guard_stream(call: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        if isinstance(request, _Unreadable):
            await refuse(request.error, context)
        async for response in call(request, context):
            yield response

    return guarded
