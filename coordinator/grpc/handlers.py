"""The gRPC handlers of a service, made from its descriptor: an RPC is declared in the .proto file alone.

The object that answers has one method for each RPC, called `Method.handler`: `check_in` for `CheckIn`.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from coordinator.grpc.parsing import Handler, guarded
from coordinator.grpc.status import Context, refuse
from fedau2.wire.methods import Method, Service

_KINDS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""Makers of handlers, by whether requests and responses come as streams."""


Answers = Callable[[], Any]
"""Gives the object that answers calls, or raises `StoppedError` while the coordinator starts."""


def handlers(service: Service, answering: type, answers: Answers) -> "grpc.GenericRpcHandler[Any, Any]":
    """Makes the handlers of all methods of a service.

    Args:
        service: the methods.
        answering: class of the object that answers.
        answers: gives that object.

    Raises:
        TypeError: the class lacks a method of the service.
    """
    if missing := [method.handler for method in service if not callable(getattr(answering, method.handler, None))]:
        raise TypeError(f"{answering.__name__} lacks methods of {service.name}: {', '.join(missing)}")
    made = {method.name: guarded(_handler(method, answers)) for method in service}
    return grpc.method_handlers_generic_handler(service.name, made)


def _handler(method: Method, answers: Answers) -> Handler:
    make = _KINDS[method.takes_stream, method.gives_stream]
    call = (_streaming if method.gives_stream else _returning)(method.handler, answers)
    return make(call, method.request.FromString, method.response.SerializeToString)


def _returning(name: str, answers: Answers) -> Callable[[Any, Context], Any]:
    async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401
        try:
            return await getattr(answers(), name)(request)
        except Exception as error:
            await refuse(error, context)

    return answer


def _streaming(name: str, answers: Answers) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def answer(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        try:
            async for response in getattr(answers(), name)(request):
                yield response
        except Exception as error:
            await refuse(error, context)

    return answer
