"""The gRPC handlers of a service, made from its descriptor: an RPC is declared in the .proto file alone.

The object that answers has one method for each RPC, called `Method.handler`: `check_in` for `CheckIn`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import grpc

from coordinator.grpc.parsing import Guard, Handler
from coordinator.grpc.status import Context, refuse
from coordinator.grpc.writing import write
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


Gate = Callable[[str, Any, Context], AbstractAsyncContextManager[Callable[[object], None]]]
"""Runs the block that answers a call, by the method's name, its request and its context; or refuses it.

The block is given a function that takes each answer before it is sent, and may refuse it.
"""


Observe = Callable[[str, str], AbstractContextManager[None]]
"""Surrounds the block that answers a call, by the names of the service and of the method; errors pass through it."""

_Observe = Callable[[str], AbstractContextManager[None]]
_NOTHING = nullcontext()


def unobserved(service: str, method: str) -> AbstractContextManager[None]:
    """Surrounds a call with nothing; an `Observe`."""
    return _NOTHING


@asynccontextmanager
async def _open(call: str, request: Any, context: Context) -> AsyncIterator[Callable[[object], None]]:  # noqa: ANN401
    yield lambda answer: None


def handlers(
    service: Service,
    answering: type,
    answers: Answers,
    guard: Guard,
    gate: Gate = _open,
    observe: Observe = unobserved,
) -> "grpc.GenericRpcHandler[Any, Any]":
    """Makes the handlers of all methods of a service.

    Args:
        service: the methods.
        answering: class of the object that answers.
        answers: gives that object.
        guard: of the address where the service is served.
        gate: of the service; by default all calls pass.
        observe: surrounds each call.

    Raises:
        TypeError: the class lacks a method of the service.
    """
    if missing := [method.handler for method in service if not callable(getattr(answering, method.handler, None))]:
        raise TypeError(f"{answering.__name__} lacks methods of {service.name}: {', '.join(missing)}")
    around = partial(observe, service.name)
    made = {method.name: guard.guarded(_handler(method, answers, gate, around)) for method in service}
    return grpc.method_handlers_generic_handler(service.name, made)


def _handler(method: Method, answers: Answers, gate: Gate, observe: _Observe) -> Handler:
    make = _KINDS[method.takes_stream, method.gives_stream]
    call = (_streaming if method.gives_stream else _returning)(method, answers, gate, observe)
    return make(call, method.request.FromString, method.response.SerializeToString)


def _returning(method: Method, answers: Answers, gate: Gate, observe: _Observe) -> Callable[[Any, Context], Any]:
    async def call(request: Any, context: Context) -> Any:  # noqa: ANN401
        try:
            with observe(method.name):
                async with gate(method.name, request, context) as answered:
                    answer = await getattr(answers(), method.handler)(request)
                    answered(answer)
                    return answer
        except Exception as error:
            await refuse(error, context)

    return call


def _streaming(method: Method, answers: Answers, gate: Gate, observe: _Observe) -> Callable[[Any, Context], Any]:
    async def answer(request: Any, context: Context) -> None:  # noqa: ANN401
        try:
            with observe(method.name):
                async with (
                    gate(method.name, request, context) as answered,
                    aclosing(getattr(answers(), method.handler)(request)) as responses,
                ):
                    async for response in responses:
                        answered(response)
                        await write(response, context)
        except Exception as error:
            await refuse(error, context)

    return answer
