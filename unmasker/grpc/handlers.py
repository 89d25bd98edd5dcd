"""The gRPC handlers of a service, made from its descriptor. Requests are parsed here, so that bad ones are refused.

gRPC itself would answer UNKNOWN to a request that does not parse, which looks like a bug.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message

from fedau2.logs import Seldom
from fedau2.wire.methods import Method, Service
from fedau2.wire.status import StatusError
from unmasker.errors import BooksError, BusyError, FolderError, InvalidRequestError

_log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}

REFUSED = Seldom()
"""Refused calls by the class of the error: anybody can have them in any number."""

_KINDS: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""Makers of handlers, by whether requests and responses come as streams."""

_SILENCE = 60.0
"""Most seconds in which a caller reads nothing of a stream, or sends nothing of its own."""

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # a grpc.RpcMethodHandler, whose type hides that it is a named tuple


def handlers(service: Service, answering: object) -> "grpc.GenericRpcHandler[Any, Any]":
    """Makes the handlers of all methods of a service.

    Args:
        service: the methods.
        answering: has a method `Method.handler` for each.

    Raises:
        AttributeError: it lacks one.
    """
    made = {method.name: _handler(method, getattr(answering, method.handler)) for method in service}
    return grpc.method_handlers_generic_handler(service.name, made)


def _handler(method: Method, call: Callable[[Any], Any]) -> Handler:
    make = _KINDS[method.takes_stream, method.gives_stream]
    answer = _streaming if method.gives_stream else _returning
    return make(answer(method, call), None, method.response.SerializeToString)


def _returning(method: Method, call: Callable[[Any], Any]) -> Callable[[bytes, Context], Any]:
    async def answer(data: bytes, context: Context) -> Any:  # noqa: ANN401
        try:
            return await call(_parsed(method, data))
        except Exception as error:
            await _refuse(error, context)

    return answer


def _streaming(method: Method, call: Callable[[Any], Any]) -> Callable[[Any, Context], Any]:
    async def answer(data: Any, context: Context) -> None:  # noqa: ANN401 - bytes, or an iterator of them
        try:
            request = _messages(method, context) if method.takes_stream else _parsed(method, data)
            async with aclosing(call(request)) as responses:
                async for response in responses:
                    await _write(response, context)
        except Exception as error:
            await _refuse(error, context)

    return answer


async def _messages(method: Method, context: Context) -> AsyncIterator[Message]:
    """Yields the messages of a caller until it has sent all of them."""
    while True:
        try:
            async with asyncio.timeout(_SILENCE):
                data = await context.read()
        except TimeoutError:
            raise BusyError(f"nothing came for {_SILENCE:.0f} seconds: call again") from None
        if data is grpc.aio.EOF:  # type: ignore[attr-defined]
            return
        yield _parsed(method, data)


async def _write(response: object, context: Context) -> None:
    try:
        async with asyncio.timeout(_SILENCE):
            await context.write(response)
    except TimeoutError:
        raise BusyError(f"nothing was read for {_SILENCE:.0f} seconds: call again for the rest") from None


def _parsed(method: Method, data: bytes) -> Message:
    try:
        return method.request.FromString(data)
    except DecodeError as error:
        raise InvalidRequestError(f"a request of {len(data)} bytes is not a message of this method") from error


async def _refuse(error: Exception, context: Context) -> NoReturn:
    """Answers a call with an error: a refusal with its status, anything else as a fault of the unmasker."""
    if isinstance(error, BooksError | FolderError):
        _log.error("a call failed: %s", error)
        text = "the unmasker's database cannot be used just now: call again later, and its operator's log says more"
        await context.abort(grpc.StatusCode.UNAVAILABLE, text)
    if not isinstance(error, StatusError):
        _log.error("a call failed", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "internal error; the unmasker's log says more")
    REFUSED.say(_log, "refused: %s", type(error).__name__)
    await context.abort(_CODES[error.status], str(error))
