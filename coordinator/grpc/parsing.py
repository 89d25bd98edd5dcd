"""Guards the handlers of calls: who may call, and how long requests may come and responses wait to be read.

Requests that do not parse are refused as INVALID_ARGUMENT. gRPC itself would answer UNKNOWN, which looks like a bug.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from coordinator.errors import InvalidRequestError
from coordinator.grpc.reading import Reading
from coordinator.grpc.status import Context, refuse
from coordinator.grpc.writing import write
from fedau2.wire.status import StatusError

Handler = Any  # a grpc.RpcMethodHandler, whose type hides that it is a named tuple

Entry = Callable[[Context], AbstractContextManager[None]]
"""Runs the block that reads and answers a call; raises a `StatusError` if the caller may not call."""


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a message whose bytes do not parse. The bytes are not kept."""

    size: int

    @property
    def error(self) -> InvalidRequestError:
        """The refusal of the call."""
        return InvalidRequestError(f"a request of {self.size} bytes is not a message of this method")


class Guard:
    """Guards the handlers of one address of the coordinator.

    An interceptor could do the same, at the cost of one more coroutine for every call, and without knowing the caller.

    Args:
        entry: is entered before a request is read; by default everybody may call.
    """

    def __init__(self, entry: Entry = lambda context: nullcontext()) -> None:
        self._entry, self._reading = entry, Reading()

    def guarded(self, handler: Handler) -> Handler:
        """Makes the guarded handler of a method. On the wire a stream of one request is a call with one request."""
        parse, many = handler.request_deserializer, handler.request_streaming
        # An empty message is part of no stream that we take: it is refused where it is read, at no cost to others.
        otherwise: Callable[[int], Any] = (lambda _: parse(b"")) if many else _Unreadable
        call = getattr(
            handler, f"{'stream' if many else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
        )

        async def answer(requests: AsyncIterator[Any], context: Context) -> Any:  # noqa: ANN401
            try:
                with self._entry(context):
                    return await _answer(call, requests if many else await self._one(context), context)
            except StatusError as error:
                await refuse(error, context)

        kinds = (grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler)
        make: Any = kinds[handler.response_streaming]
        return make(answer, partial(_parsed, parse, otherwise), handler.response_serializer)

    async def _one(self, context: Context) -> Any:  # noqa: ANN401
        request = await self._reading.one(context)
        if isinstance(request, _Unreadable):
            raise request.error
        return request


class Guarded:
    """Stands for a server where generated code adds services: their handlers are then guarded.

    Args:
        server: the server to add to.
        guard: of the server's address.
    """

    def __init__(self, server: grpc.aio.Server, guard: Guard) -> None:
        self._server, self._guard = server, guard

    def add_generic_rpc_handlers(self, handlers: "Sequence[grpc.GenericRpcHandler[Any, Any]]") -> None:
        """Adds handlers that find a method by its name, each guarded."""
        self._server.add_generic_rpc_handlers([_GuardedHandler(handler, self._guard) for handler in handlers])

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Adds a service's methods, each guarded."""
        methods = {name: self._guard.guarded(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])


class _GuardedHandler(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # at run time it has no arguments
    def __init__(self, handler: "grpc.GenericRpcHandler[Any, Any]", guard: Guard) -> None:
        self._handler, self._guard = handler, guard

    def service(self, details: grpc.HandlerCallDetails) -> Handler:
        """The guarded handler of a method, or None."""
        handler = self._handler.service(details)
        return None if handler is None else self._guard.guarded(handler)


def _parsed(parse: Callable[[bytes], Any], otherwise: Callable[[int], Any], data: bytes) -> Any:  # noqa: ANN401
    try:
        return parse(data)
    except DecodeError:
        return otherwise(len(data))


async def _answer(call: Callable[[Any, Context], Any], request: Any, context: Context) -> Any:  # noqa: ANN401
    answer = call(request, context)
    if not hasattr(answer, "__aiter__"):
        return await answer
    async with aclosing(answer) as responses:
        async for response in responses:
            await write(response, context)
    return None
