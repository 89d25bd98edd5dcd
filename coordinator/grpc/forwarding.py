"""A stand-by's answers to devices and operators: those of the leader, to which it passes every call on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from coordinator.engine.limited import Limited
from coordinator.errors import ForwardedError, StoppedError
from coordinator.grpc import passed_on, peer_tls
from coordinator.grpc.tls import Shown, Tls
from coordinator.model import pace
from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire import addresses
from fedau2.wire.methods import Method, Service
from fedau2.wire.status import RETRY_METADATA, Status, StatusError

_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),  # a leader whose machine vanished does not answer
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""Statuses of calls whose connection broke."""

_KNOWN = {status.value for status in Status}


class Line:
    """The connection to the leader, whoever leads. Used on one event loop.

    Args:
        tls: the files that coordinators show each other; None: plaintext.
    """

    def __init__(self, tls: Tls | None) -> None:
        self._tls = tls
        self._shown: Shown | None = None
        self._channel: grpc.aio.Channel | None = None
        self.leader = ""

    async def turn(self, leader: str) -> None:
        """Connects to another leader, whose address may be empty: nobody is known to lead.

        Files that were replaced are shown on a new connection to the same leader. As long as they cannot be used, those
        before stay in use.
        """
        shown = None if self._tls is None else self._tls.renewed.newest()
        if leader == self.leader and shown is self._shown:
            return
        await self.close()
        self.leader, self._shown = leader, shown
        if leader:
            target, options = addresses.channel(leader)
            self._channel = _connected(target, [*options, *_OPTIONS], shown)

    async def close(self) -> None:
        """Ends the connection, and the calls that are under way."""
        channel, self._channel, self.leader = self._channel, None, ""
        if channel is not None:
            await channel.close(None)

    def channel(self) -> grpc.aio.Channel:
        """Returns the connection.

        Raises:
            StoppedError: nobody is known to lead.
        """
        if self._channel is None:
            raise StoppedError("no coordinator leads at the moment; try again later", pace.STARTING.message())
        return self._channel


def _connected(target: str, options: list[tuple[str, Any]], shown: Shown | None) -> grpc.aio.Channel:
    if shown is None:
        return grpc.aio.insecure_channel(target, options)
    host = ("grpc.ssl_target_name_override", peer_tls.host(shown))
    return grpc.aio.secure_channel(target, peer_tls.credentials(shown), [*options, host])


class Forwarding:
    """Has a method for each of a service, as the object of the leader that answers it.

    Args:
        service: the service.
        line: to the leader.
        limited: the limits of network addresses. They hold here, and at the leader for all coordinators together.
    """

    def __init__(self, service: Service, line: Line, limited: Limited) -> None:
        self.limited, self._line = limited, line
        for method in service:
            make = self._streaming if method.gives_stream else self._returning
            setattr(self, method.handler, make(method))

    def _returning(self, method: Method) -> Callable[[Any], Any]:
        async def call(request: Any) -> Any:  # noqa: ANN401
            with _answers():
                return await self._begin(method, request)

        return call

    def _streaming(self, method: Method) -> Callable[[Any], AsyncIterator[Any]]:
        async def call(request: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            with _answers():
                responses = self._begin(method, request)
                try:
                    async for response in responses:
                        yield response
                finally:
                    responses.cancel()

        return call

    def _begin(self, method: Method, request: Any) -> Any:  # noqa: ANN401 - a call of gRPC
        kind = f"{'stream' if method.takes_stream else 'unary'}_{'stream' if method.gives_stream else 'unary'}"
        make = getattr(self._line.channel(), kind)
        call = make(method.path, method.request.SerializeToString, method.response.FromString)
        return call(request, metadata=passed_on.metadata())


@contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _answer(error) from error
    except asyncio.CancelledError as error:  # the caller went away, or the line turned to another leader
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _unanswered() from error


def _answer(error: grpc.aio.AioRpcError) -> StatusError:
    metadata: Iterable[tuple[str, bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    window = next((value for name, value in metadata if name == RETRY_METADATA), None)
    number = error.code().value[0]
    if number not in _KNOWN or (error.code() in _GONE and window is None):
        return _unanswered()
    retry = None if window is None else RetryWindow.FromString(window)
    return ForwardedError(Status(number), error.details() or "", retry)


def _unanswered() -> StoppedError:
    return StoppedError("the leading coordinator does not answer; try again later", pace.STARTING.message())
