"""What is no message is refused behind the door: gRPC would answer it with UNKNOWN, as if the fault were here."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
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
    kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    kind = next(each for each in kinds if getattr(handler, each))
    call = getattr(handler, kind)
    guard = _guard_stream if inspect.isasyncgenfunction(call) else _guard
    parse = handler.request_deserializer
    guarded: Handler = handler._replace(request_deserializer=lambda data: _parsed(parse, data), **{kind: guard(call)})
    return guarded


def _parsed(parse: Callable[[bytes], Any], data: bytes) -> Any:  # noqa: ANN401 - a message of any kind
    try:
        return parse(data)
    except DecodeError:
        return _Unreadable(len(data))


def _guard(call: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    async def guarded(request: Any, context: Context) -> Any:  # noqa: ANN401
        try:
            return await call(_readable(request), context)
        except InvalidRequestError as error:
            await refuse(error, context)

    return guarded


def _guard_stream(call: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        try:
            async for response in call(_readable(request), context):
                yield response
        except InvalidRequestError as error:
            await refuse(error, context)

    return guarded


def _readable(request: Any) -> Any:  # noqa: ANN401 - a message, or a stream of them
    """The message, or the stream, which raises where it comes to what is no message."""
    if isinstance(request, _Unreadable):
        raise InvalidRequestError(f"a request of {request.size} bytes is no message of this method")
    return _read(request) if hasattr(request, "__aiter__") else request


async def _read(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _readable(request)
