"""Reads the methods of a gRPC service from its descriptor, so that no code lists them by hand.

A method is declared once, in the .proto file. Everything else follows from there: the path of a call, the classes of
its messages, whether they come as streams, and the name of the Python method that handles it.

>>> method = DEVICE.taking(device_pb2.CheckInRequest)
>>> method.path, method.handler, method.response.__name__
('/fedau2.v1.DeviceService/CheckIn', 'check_in', 'CheckInResponse')
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from fedau2.v1 import device_pb2
from fedau2.wire.errors import UnknownMethodError


@dataclass(frozen=True)
class Method:
    """One method of a service.

    Attributes:
        name: as the .proto file writes it, for example "CheckIn".
        path: of a call over gRPC, for example "/fedau2.v1.DeviceService/CheckIn".
        handler: name of the Python method that handles it, for example "check_in".
        request: class of the request, or of each request of a stream.
        response: class of the response, or of each response of a stream.
        takes_stream: the caller sends a stream of requests.
        gives_stream: the handler answers with a stream of responses.
    """

    name: str
    path: str
    handler: str
    request: type[Message]
    response: type[Message]
    takes_stream: bool
    gives_stream: bool


class Service:
    """The methods of a service, in the order of the .proto file.

    A handler object has one method for each, called `Method.handler`. It takes the request, or an async iterator of
    requests where `takes_stream`; it is a coroutine that returns the response, or gives an async iterator of responses
    where `gives_stream`.

    Args:
        descriptor: the service; no two of its methods take the same message.

    Attributes:
        name: full name of the service, for example "fedau2.v1.DeviceService".
    """

    def __init__(self, descriptor: ServiceDescriptor) -> None:
        self.name: str = descriptor.full_name
        self._by_request = {method.request: method for method in map(_method, descriptor.methods)}
        if len(self._by_request) < len(descriptor.methods):
            raise ValueError(f"two methods of {self.name} take the same message")

    def __iter__(self) -> Iterator[Method]:
        return iter(self._by_request.values())

    def taking(self, request: type[Message], takes_stream: bool = False, gives_stream: bool = False) -> Method:
        """Finds a method by the message that it takes.

        Raises:
            UnknownMethodError: the service has no method that takes this message and has these streams.
        """
        method = self._by_request.get(request)
        if method is None or (method.takes_stream, method.gives_stream) != (takes_stream, gives_stream):
            requests = f"a stream of {request.__name__}" if takes_stream else f"one {request.__name__}"
            responses = "a stream of responses" if gives_stream else "one response"
            raise UnknownMethodError(f"no method of {self.name} takes {requests} and gives {responses}")
        return method


def _method(descriptor: MethodDescriptor) -> Method:
    name: str = descriptor.name
    return Method(
        name=name,
        path=f"/{descriptor.containing_service.full_name}/{name}",
        handler=re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(),
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
        takes_stream=descriptor.client_streaming,
        gives_stream=descriptor.server_streaming,
    )


DEVICE = Service(device_pb2.DESCRIPTOR.services_by_name["DeviceService"])
"""The service that devices call."""
