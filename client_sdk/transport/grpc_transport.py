"""Reaches a coordinator over gRPC: blocking for a device, and on asyncio for apps and fleets."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from contextlib import contextmanager, suppress
from math import inf
from types import TracebackType
from typing import Self, TypeVar, cast

import grpc
from google.protobuf.message import Message

from client_sdk.errors import TransportError
from client_sdk.transport.calls import finite, wire
from client_sdk.transport.credentials import Caller, Pairs
from client_sdk.transport.offloading import to_its_end
from client_sdk.transport.refusals import translated
from client_sdk.transport.silence import Alarm, Counted
from client_sdk.transport.target import Address
from fedau2.wire import addresses
from fedau2.wire.methods import DEVICE, Service

_T = TypeVar("_T")

_AHEAD = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 128 * 1024))
"""Channel options that bound what gRPC receives ahead of the reader, because it is lost if the connection breaks."""


class _Base:
    """The address of a coordinator, with the time that calls may take.

    Args:
        address: the coordinator's address, or its name if the other options of `Address` have their defaults.
        timeout: seconds that a short call may take.
        silence: seconds that a call with a stream may take without a message. As a whole it may take any time.
        service: the service that is called.

    Raises:
        CredentialsError: the device's certificate is not valid now.
    """

    def __init__(
        self,
        address: Address | str,
        *,
        timeout: float = 30.0,
        silence: float = 60.0,
        service: Service = DEVICE,
    ) -> None:
        if isinstance(address, str):
            address = Address(address)
        self._name, shown = address.coordinator, address.credentials
        shown.expect_current()
        self._credentials, self._caller = None, Caller(shown.metadata)
        if not address.plaintext:
            self._credentials = grpc.ssl_channel_credentials(address.root_certificates, shown.key, shown.certificate)
        self._target, options = addresses.channel(address.coordinator)
        self._options = [*options, *_AHEAD]
        self._timeout, self._silence, self._service = timeout, silence, service
        self._hung_up = False
        self._calls = 0  # that are under way

    def _ended(self, why: object) -> TransportError:
        return TransportError(f"the call to {self._name} was ended here: {why}")

    def _silent(self) -> TransportError:
        return TransportError(f"nothing moved between {self._name} and here for {self._silence:g} s; try again later")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        self._calls += 1
        try:
            yield
        except grpc.RpcError as error:
            if self._hung_up and error.code() == grpc.StatusCode.CANCELLED:
                raise self._ended("the work is being stopped") from error
            raise translated(error, self._name, self._credentials is None) from error
        except ValueError as error:  # the channel was closed by another thread
            raise self._ended(error) from error
        except asyncio.CancelledError as error:  # the task was cancelled, or another task closed the channel
            task = asyncio.current_task()
            if not self._hung_up or task is None or task.cancelling():
                raise
            raise self._ended("the work is being stopped") from error
        finally:
            self._calls -= 1


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
        """Ends the call that another thread waits for. Later calls, which give a place back, may still be made."""
        self._hung_up = True
        self.close()

    def call(self, request: Message, timeout: float = inf) -> Message:
        """Sends one request and returns the response."""
        method, metadata = self._service.taking(type(request)), self._caller.pairs()
        with self._errors():
            call = self._open().unary_unary(*wire(method))
            response: Message = call(request, timeout=min(self._timeout, timeout), metadata=metadata)
            return response

    def receive(self, request: Message, timeout: float = inf) -> Generator[Message, None, None]:
        """Sends one request and yields the responses as they come."""
        method, metadata = self._service.taking(type(request), gives_stream=True), self._caller.pairs()
        with self._errors():
            call = self._open().unary_stream(*wire(method))(request, timeout=finite(timeout), metadata=metadata)
            alarm, responses = Alarm(self._silence, call.cancel), iter(call)
            try:
                while True:
                    with alarm:
                        response: Message | None = next(responses, None)
                    if response is None:
                        return
                    yield response
            except grpc.RpcError as error:
                raise (self._silent() if alarm.rang else error) from None
            finally:
                abandoned = alarm.rang or call.is_active()
                call.cancel()  # type: ignore[no-untyped-call]
                if abandoned:  # what is on its way would come before the answer to the next call on the connection
                    self.close()

    def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        """Sends a stream of requests, all of the class `kind`, and returns the response."""
        method, metadata = self._service.taking(kind, takes_stream=True), self._caller.pairs()
        counted, before = Counted(requests), -1
        with self._errors():
            opened = self._open().stream_unary(*wire(method))
            call = opened.future(counted, timeout=finite(timeout), metadata=metadata)
            try:
                while counted.count > before:
                    before = counted.count
                    with suppress(grpc.FutureTimeoutError):
                        response: Message = call.result(timeout=self._silence)
                        return response
            except grpc.FutureCancelledError:
                raise cast(grpc.RpcError, call) from None  # it has the status
            finally:
                call.cancel()  # type: ignore[no-untyped-call]
            raise self._silent()

    def _open(self) -> grpc.Channel:
        if (channel := self._channel) is None:
            if self._credentials is None:
                channel = grpc.insecure_channel(self._target, self._options)
            else:
                channel = grpc.secure_channel(self._target, self._credentials, self._options)
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
        self._hung_up = True
        await self.close()

    async def call(self, request: Message, timeout: float = inf) -> Message:
        """Sends one request and returns the response."""
        method, metadata = self._service.taking(type(request)), await self._pairs()
        with self._errors():
            call = self._open().unary_unary(*wire(method))
            response: Message = await call(request, timeout=min(self._timeout, timeout), metadata=metadata)
            return response

    async def receive(self, request: Message, timeout: float = inf) -> AsyncGenerator[Message, None]:
        """Sends one request and yields the responses as they come."""
        method, metadata = self._service.taking(type(request), gives_stream=True), await self._pairs()
        with self._errors():
            call = self._open().unary_stream(*wire(method))(request, timeout=finite(timeout), metadata=metadata)
            responses: AsyncIterator[Message] = aiter(call)
            try:
                while (response := await self._heard(anext(responses, None))) is not None:
                    yield response
            finally:
                abandoned = call.cancelled() or not call.done()
                call.cancel()
                if abandoned and self._calls == 1:  # as in GrpcTransport, unless another session has a call
                    await self.close()

    async def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = inf) -> Message:
        """Sends a stream of requests, all of the class `kind`, and returns the response."""
        method, metadata = self._service.taking(kind, takes_stream=True), await self._pairs()
        counted, before = Counted(requests), -1
        with self._errors():
            call = self._open().stream_unary(*wire(method))(counted, timeout=finite(timeout), metadata=metadata)
            answer: asyncio.Future[Message] = asyncio.ensure_future(call)
            try:
                while counted.count > before:
                    before = counted.count
                    if (await asyncio.wait([answer], timeout=self._silence))[0]:
                        return answer.result()
            finally:
                call.cancel()
            raise self._silent()

    async def _pairs(self) -> Pairs:
        return await to_its_end(self._caller.pairs) if self._caller.asks else self._caller.pairs()

    async def _heard(self, message: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._silence):
                return await message
        except TimeoutError:
            raise self._silent() from None

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self._target, self._options)
            else:
                self._channel = grpc.aio.secure_channel(self._target, self._credentials, self._options)
        return self._channel
