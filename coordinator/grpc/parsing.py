"""Refuses requests that do not parse as INVALID_ARGUMENT. gRPC itself would answer UNKNOWN, which looks like a bug."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from coordinator.errors import InvalidRequestError
from coordinator.grpc.status import Context, refuse

Handler = Any  # a grpc.RpcMethodHandler, whose type hides that it is a named tuple

Change = Callable[[str, Handler], Handler]
"""Changes the handler of a method, given the method's name."""


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a message whose bytes do not parse. The bytes are not kept."""

    size: int

    @property
    def error(self) -> InvalidRequestError:
        """The refusal of the call."""
        return InvalidRequestError(f"a request of {self.size} bytes is not a message of this method")


class Guarded:
    """Stands for a server where generated code adds services: requests that do not parse are then refused.

    An interceptor could do the same, at the cost of one more coroutine for every call.

    Args:
        server: the server to add to.
        change: changes the handler of a method, by its name, before that is guarded; by default nothing is changed.
    """

    def __init__(self, server: grpc.aio.Server, change: Change = lambda name, handler: handler) -> None:
        self._server, self._change = server, change

    def add_generic_rpc_handlers(self, handlers: "Sequence[grpc.GenericRpcHandler[Any, Any]]") -> None:
        """Adds handlers that find a method by its name, each guarded."""
        self._server.add_generic_rpc_handlers([_GuardedHandler(handler, self._change) for handler in handlers])

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Adds a service's methods, each guarded."""
        methods = {name: guarded(self._change(name, handler)) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])


class _GuardedHandler(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # at run time it has no arguments
    def __init__(self, handler: "grpc.GenericRpcHandler[Any, Any]", change: Change) -> None:
        self._handler, self._change = handler, change

    def service(self, details: grpc.HandlerCallDetails) -> Handler:
        """The guarded handler of a method, or None."""
        handler = self._handler.service(details)
        return None if handler is None else guarded(self._change(details.method.rpartition("/")[2], handler))


def guarded(handler: Handler) -> Handler:
    """The same handler of one method, which refuses requests that do not parse."""
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
    async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401
        if isinstance(request, _Unreadable):
            await refuse(request.error, context)
        return await call(request, context)

    return answer


def _guard_stream(call: Callable[[Any, Context], AsyncIterator[Any]]) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def answer(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        if isinstance(request, _Unreadable):
            await refuse(request.error, context)
        async for response in call(request, context):
            yield response

    return answer
