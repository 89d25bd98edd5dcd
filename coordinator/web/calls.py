"""The calls of a service over the Connect protocol, made from its descriptor and answered as over gRPC."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing
from functools import partial
from typing import Any

from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint

from coordinator.grpc.handlers import Answers, Observe, unobserved
from coordinator.grpc.server import LARGEST
from coordinator.grpc.status import refusal
from fedau2.wire.methods import Method, Service
from fedau2.wire.status import RETRY_METADATA, Status

_KINDS: dict[tuple[bool, bool], tuple[StreamType, Callable[..., Any]]] = {
    (False, False): (StreamType.UNARY, Endpoint.unary),
    (False, True): (StreamType.SERVER_STREAM, Endpoint.server_stream),
    (True, False): (StreamType.CLIENT_STREAM, Endpoint.client_stream),
    (True, True): (StreamType.BIDI_STREAM, Endpoint.bidi_stream),
}
"""Kinds of methods and makers of their endpoints, by whether requests and responses come as streams."""

_CODES = {status: Code("canceled" if status is Status.CANCELLED else status.name.lower()) for status in Status}

Context = RequestContext[Any, Any]
_Observe = Callable[[], AbstractContextManager[None]]


class Calls(ConnectASGIApplication[Answers]):
    """An ASGI application that answers the methods of a service.

    Args:
        service: the methods.
        answers: gives the object that answers, see `coordinator.grpc.handlers`.
        observe: surrounds each call.
    """

    def __init__(self, service: Service, answers: Answers, observe: Observe = unobserved) -> None:
        self._name = service.name
        super().__init__(
            service=answers,
            endpoints=lambda answers: {
                method.path: _endpoint(service.name, method, answers, observe) for method in service
            },
            read_max_bytes=LARGEST,
            compressions=(),
            codecs=(google_protobuf_binary_codec(),),
        )

    @property
    def path(self) -> str:
        """The prefix of the paths of all methods."""
        return f"/{self._name}"


def _endpoint(service: str, method: Method, answers: Answers, observe: Observe) -> Any:  # noqa: ANN401 - one of four classes
    stream, make = _KINDS[method.takes_stream, method.gives_stream]
    around = partial(observe, service, method.name)
    call = (_streaming if method.gives_stream else _returning)(method.handler, answers, around)
    info = MethodInfo(
        name=method.name,
        service_name=service,
        input=method.request,
        output=method.response,
        idempotency_level=IdempotencyLevel.IDEMPOTENT,
        stream_type=stream,
    )
    return make(info, call)


def _returning(name: str, answers: Answers, observe: _Observe) -> Callable[[Any, Context], Any]:
    async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401
        try:
            with observe():
                service = answers()
                with service.limited.call():
                    return await getattr(service, name)(request)
        except Exception as error:
            raise _refused(error, context) from error

    return answer


def _streaming(name: str, answers: Answers, observe: _Observe) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def answer(request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401
        try:
            with observe():
                service = answers()
                with service.limited.call():
                    async with aclosing(getattr(service, name)(request)) as responses:
                        async for response in responses:
                            yield response
        except Exception as error:
            raise _refused(error, context) from error

    return answer


def _refused(error: Exception, context: Context) -> ConnectError:
    """Turns an error into the answer to a call, with the retry window among the trailers."""
    if isinstance(error, ConnectError):  # the requests of a stream cannot be read
        return error
    answer = refusal(error)
    if answer.retry is not None:
        window = b64encode(answer.retry.SerializeToString()).decode().rstrip("=")
        context.response_trailers[RETRY_METADATA] = window
    return ConnectError(_CODES[answer.status], str(answer))
