"""Reaches a coordinator over gRPC: blocking for a device, and on asyncio for apps and fleets."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import grpc
from google.protobuf.message import DecodeError, Message

from client_sdk.errors import TransportError
from client_sdk.transport.target import Address
from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire.methods import DEVICE, Method, Service
from fedau2.wire.status import RETRY_METADATA, Status, StatusError

SOON = 2.0
"""Seconds that a call to the coordinator may take once the work is being stopped."""

# Codes that say nothing about the request itself: of a proxy, a broken connection, or a coordinator that is going down.
_UNANSWERED = {Status.CANCELLED, Status.UNKNOWN, Status.INTERNAL, Status.UNAVAILABLE}


class _Base:
    """The address of a coordinator, with the time that calls may take.

    Args:
        address: the coordinator's address, or its name if the other options of `Address` have their defaults.
        timeout: seconds that a short call may take.
        transfer_timeout: seconds that a call with a stream may take.
        service: the service that is called.
    """

    def __init__(
        self,
        address: Address | str,
        *,
        timeout: float = 30.0,
        transfer_timeout: float = 300.0,
        service: Service = DEVICE,
    ) -> None:
        if isinstance(address, str):
            address = Address(address)
        self._name, certificates = address.coordinator, address.root_certificates
        self._credentials = None if address.plaintext else grpc.ssl_channel_credentials(certificates)
        # In a pool of its own, a new channel does not inherit the waiting time after another's failure to connect.
        self._options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", int(not address.loopback))]
        self._timeout = timeout
        self._transfer_timeout = transfer_timeout
        self._service = service
        self._hung_up = False

    def _hurry(self) -> None:
        self._hung_up = True
        self._timeout, self._transfer_timeout = min(self._timeout, SOON), min(self._transfer_timeout, SOON)

    def _ended(self, why: object) -> TransportError:
        return TransportError(f"the call to {self._name} was ended here: {why}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            if self._hung_up and error.code() == grpc.StatusCode.CANCELLED:
                raise self._ended("the work is being stopped") from error
            raise _translate(error, self._name) from error
        except ValueError as error:  # the channel was closed by another thread
            raise self._ended(error) from error
        except asyncio.CancelledError as error:  # the task was cancelled, or another task closed the channel
            task = asyncio.current_task()
            if not self._hung_up or task is None or task.cancelling():
                raise
            raise self._ended("the work is being stopped") from error


class GrpcTransport(_Base):
    """`interfaces.Transport` over gRPC. The channel is made by the first call."""

    _channel: grpc.Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel; the next call makes another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def hang_up(self) -> None:
        """Ends the call that another thread waits for. Later calls, which give back a place, may take `SOON`."""
        self._hurry()
        self.close()

    def call(self, request: Message) -> Message:
        """Sends one request and returns the response."""
        method = self._service.taking(type(request))
        with self._errors():
            response: Message = self._open().unary_unary(*_wire(method))(request, timeout=self._timeout)
            return response

    def receive(self, request: Message) -> Iterator[Message]:
        """Sends one request and yields the responses as they come."""
        method = self._service.taking(type(request), gives_stream=True)
        with self._errors():
            call = self._open().unary_stream(*_wire(method))(request, timeout=self._transfer_timeout)
            try:
                yield from call
            finally:
                call.cancel()  # type: ignore[no-untyped-call]

    def send(self, kind: type[Message], requests: Iterator[Message]) -> Message:
        """Sends a stream of requests, all of the class `kind`, and returns the response."""
        method = self._service.taking(kind, takes_stream=True)
        with self._errors():
            response: Message = self._open().stream_unary(*_wire(method))(requests, timeout=self._transfer_timeout)
            return response

    def _open(self) -> grpc.Channel:
        if (channel := self._channel) is None:
            if self._credentials is None:
                channel = grpc.insecure_channel(self._name, self._options)
            else:
                channel = grpc.secure_channel(self._name, self._credentials, self._options)
            self._channel = channel
        return channel


class AioGrpcTransport(_Base):
    """`interfaces.AsyncTransport` over gRPC: one channel for any number of sessions of one event loop."""

    _channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(grace=None)

    async def hang_up(self) -> None:
        """As `GrpcTransport.hang_up`, for calls that other tasks of the loop wait for."""
        self._hurry()
        await self.close()

    async def call(self, request: Message) -> Message:
        """Sends one request and returns the response."""
        method = self._service.taking(type(request))
        with self._errors():
            response: Message = await self._open().unary_unary(*_wire(method))(request, timeout=self._timeout)
            return response

    async def receive(self, request: Message) -> AsyncGenerator[Message, None]:
        """Sends one request and yields the responses as they come."""
        method = self._service.taking(type(request), gives_stream=True)
        with self._errors():
            call = self._open().unary_stream(*_wire(method))(request, timeout=self._transfer_timeout)
            try:
                async for response in call:
                    yield response
            finally:
                call.cancel()

    async def send(self, kind: type[Message], requests: Iterator[Message]) -> Message:
        """Sends a stream of requests, all of the class `kind`, and returns the response."""
        method = self._service.taking(kind, takes_stream=True)
        with self._errors():
            response: Message = await self._open().stream_unary(*_wire(method))(
                requests, timeout=self._transfer_timeout
            )
            return response

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self._name, self._options)
            else:
                self._channel = grpc.aio.secure_channel(self._name, self._credentials, self._options)
        return self._channel


def _wire(method: Method) -> tuple[str, Callable[[Message], bytes], Callable[[bytes], Message]]:
    """Returns a method's path, and the functions that turn a request into bytes and bytes into a response."""
    return method.path, method.request.SerializeToString, method.response.FromString


def _translate(error: grpc.RpcError, name: str) -> StatusError | TransportError:
    code, details, retry = error.code(), error.details() or "no details", _retry(error)
    number = code.value[0]
    if number == Status.UNAVAILABLE:
        return TransportError(f"cannot reach {name}: is the coordinator running, and is this its address? ({details})")
    if number == Status.DEADLINE_EXCEEDED and retry is None:
        return TransportError(f"{name} did not answer in time; try again later ({details})")
    if number in _UNANSWERED or number not in set(Status):
        return TransportError(f"{name} answered {code.name}: is it a FedAU2 coordinator? ({details})")
    return StatusError(Status(number), details, retry)


def _retry(error: grpc.RpcError) -> RetryWindow | None:
    metadata: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    window = dict(iter(metadata)).get(RETRY_METADATA)  # older releases of grpcio have pairs as keys
    try:
        return None if window is None else RetryWindow.FromString(window)
    except DecodeError:
        return None
