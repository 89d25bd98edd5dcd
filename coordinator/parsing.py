"""What is no message is refused behind the door: gRPC would answer it with UNKNOWN, as if the fault were here."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from coordinator.errors import InvalidRequestError
from coordinator.servicers import Context, refuse

Handler = Any  # a grpc.RpcMethodHandler, whose type hides that it is a named tuple


@dataclass(frozen=True)
class _Unreadable:
    """In place of a message: bytes that are none. They are not kept."""

    size: int

    @property
    def error(self) -> InvalidRequestError:
        """How the call is refused."""
        return InvalidRequestError(f"a request of {self.size} bytes is no message of this method")


class Parsing(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # it has none at run time
    """Refuses requests that cannot be parsed, of every method of a server, as an `InvalidRequestError`."""

    def __init__(self) -> None:
        self._guarded: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The method's handler, guarded; None where there is no such method."""
        method: Any = handler_call_details.method
        if method not in self._guarded:
            if (handler := await continuation(handler_call_details)) is None:
                return handler
            self._guarded[method] = _guarded(handler)
        return self._guarded[method]


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
