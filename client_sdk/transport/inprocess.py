"""Reaches a coordinator in the same process, by the same messages without gRPC. For fleets and tests."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from math import inf

from google.protobuf.message import Message

from fedau2.wire.methods import DEVICE, Service


class InProcessTransport:
    """An `interfaces.AsyncTransport` straight into an object that handles a service. It ends no call by a timeout.

    Args:
        handlers: has a method for each of the service's, as `methods.Service` says. It refuses a call by raising a
            `StatusError`.
        service: the service that it handles.
    """

    def __init__(self, handlers: object, service: Service = DEVICE) -> None:
        self._handlers, self._service = handlers, service

    async def call(self, request: Message, timeout: float = inf) -> Message:
        """Sends one request and returns the response."""
        method = self._service.taking(type(request))
        response: Message = await getattr(self._handlers, method.handler)(request)
        return response

    async def receive(self, request: Message, timeout: float = inf) -> AsyncGenerator[Message, None]:
        """Sends one request and yields the responses as they come."""
        method = self._service.taking(type(request), gives_stream=True)
        async for response in getattr(self._handlers, method.handler)(request):
            yield response

    async def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        """Sends a stream of requests, all of the class `kind`, and returns the response."""
        method = self._service.taking(kind, takes_stream=True)
        response: Message = await getattr(self._handlers, method.handler)(_stream(requests))
        return response


async def _stream(requests: Iterator[Message]) -> AsyncIterator[Message]:
    for request in requests:
        yield request
