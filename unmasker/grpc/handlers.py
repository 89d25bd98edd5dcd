"""The gRPC handlers of a service, made from its descriptor. Requests are parsed here, so that bad ones are refused.

gRPC itself would answer UNKNOWN to a request that does not parse, which looks like a bug.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError, Message

from fedau2.wire.methods import Method, Service
from fedau2.wire.status import StatusError
from unmasker.errors import BusyError, InvalidRequestError

_log = logging.getLogger(__name__)

_CODES = {code.value[0]: code for code in grpc.StatusCode}

_SILENCE = 60.0
"""Most seconds in which a caller reads nothing of a stream."""

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # a grpc.RpcMethodHandler, whose type hides that it is a named tuple


def handlers(service: Service, answering: object) -> "grpc.GenericRpcHandler[Any, Any]":
    """Makes the handlers of all methods of a service; no method takes a stream.

    Args:
        service: the methods.
        answering: has a method `Method.handler` for each.

    Raises:
        AttributeError: it lacks one.
    """
    made = {method.name: _handler(method, getattr(answering, method.handler)) for method in service}
    return grpc.method_handlers_generic_handler(service.name, made)


def _handler(method: Method, call: Callable[[Message], Any]) -> Handler:
    make = grpc.unary_stream_rpc_method_handler if method.gives_stream else grpc.unary_unary_rpc_method_handler
    answer = _streaming if method.gives_stream else _returning
    return make(answer(method, call), None, method.response.SerializeToString)


def _returning(method: Method, call: Callable[[Message], Any]) -> Callable[[bytes, Context], Any]:
    async def answer(data: bytes, context: Context) -> Any:  # noqa: ANN401
        try:
            return await call(_parsed(method, data))
        except Exception as error:
            await _refuse(error, context)

    return answer


def _streaming(method: Method, call: Callable[[Message], Any]) -> Callable[[bytes, Context], Any]:
    async def answer(data: bytes, context: Context) -> None:
        try:
            async with aclosing(call(_parsed(method, data))) as responses:
                async for response in responses:
                    await _write(response, context)
        except Exception as error:
            await _refuse(error, context)

    return answer


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
    if not isinstance(error, StatusError):
        _log.error("a call failed", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "internal error; the unmasker's log says more")
    _log.info("refused: %s", type(error).__name__)
    await context.abort(_CODES[error.status], str(error))
