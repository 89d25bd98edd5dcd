"""Drivers carry out a session's wishes: one blocks, for a device; one is for asyncio, for fleets and apps."""

from asyncio import CancelledError, sleep
from collections.abc import Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from client_sdk.errors import FedError, UnknownWishError
from client_sdk.protocol.interfaces import AsyncTransport, Training, Transport
from client_sdk.protocol.session import Session, engine_failures
from client_sdk.protocol.wishes import Call, Fetch, Interrupted, Outcome, Result, Train, Upload, Wish
from fedau2.v1.device_pb2 import FetchResourceRequest, FetchResourceResponse, UploadContributionRequest, UploadHeader
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import blobs
from fedau2.wire.blobs import Assembler
from fedau2.wire.errors import BlobError, UnknownMethodError
from fedau2.wire.status import StatusError

_T = TypeVar("_T")

_THROWN = (StatusError, FedError, BlobError, UnknownMethodError, Interrupted)


def drive(session: Session, transport: Transport, check: Callable[[], None] = lambda: None) -> Outcome:
    """Runs a session to its end, blocking.

    Args:
        session: fresh, from `session.session`.
        transport: the way to the coordinator.
        check: called before each local step and with each chunk of a blob; raises `Interrupted` to stop.

    Raises:
        FedError, StatusError: as the session does.
    """
    wish = _advance(session, None)
    while not isinstance(wish, Outcome):
        answer: Any
        try:
            answer = _carry_out(wish, transport, check)
        except _THROWN as error:
            answer = _thrown(error)
        wish = _advance(session, answer)
    return wish


def _advance(session: Session, answer: Any) -> Wish | Outcome:  # noqa: ANN401
    # Returns a value instead of raising StopIteration, which a future cannot carry from a thread.
    try:
        return session.throw(answer) if isinstance(answer, BaseException) else session.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    except Interrupted:  # the session had no place in a round to give back
        return Outcome(Result.INTERRUPTED)


def _carry_out(wish: Wish, transport: Transport, check: Callable[[], None]) -> Any:  # noqa: ANN401
    match wish:
        case Call(request):
            return transport.call(request)
        case Fetch(resource):
            assembler = Assembler(resource)
            for response in transport.receive(_request(resource)):
                check()
                assembler.add(_part(response))
            return assembler.finish()
        case Train(training):
            check()
            return _step(training)
        case Upload(header, data):
            return transport.send(UploadContributionRequest, _requests(header, data))
        case _:
            raise _unknown(wish)


def _thrown(error: Exception) -> Exception:
    return (
        UnknownWishError(f"this driver cannot make the call: {error}")
        if isinstance(error, UnknownMethodError)
        else error
    )


def _unknown(wish: object) -> UnknownWishError:
    return UnknownWishError(f"this driver does not know the wish {type(wish).__name__}: update fedau2")


def _step(training: Training) -> None:
    with engine_failures():
        training.step()


class Offload(Protocol):
    """Runs a session and its local steps, for example in a thread."""

    async def __call__(self, work: Callable[[], _T], /) -> _T:
        """Runs `work` to its end, even if the task is cancelled meanwhile."""


async def _on_loop(work: Callable[[], _T]) -> _T:
    return work()


async def drive_async(
    session: Session, transport: AsyncTransport, offload: Offload = _on_loop, check: Callable[[], None] = lambda: None
) -> Outcome:
    """Runs a session to its end within asyncio. If it is cancelled, it gives the place in the round back first.

    Args:
        session: fresh, from `session.session`.
        transport: the way to the coordinator.
        offload: runs the session and its local steps; on the loop by default.
        check: called before each local step; raises `Interrupted` to stop.

    Raises:
        FedError, StatusError: as the session does.
    """
    cancelled: CancelledError | None = None
    wish = await offload(partial(_advance, session, None))
    while not isinstance(wish, Outcome):
        answer: Any
        try:
            answer = await _carry_out_async(wish, transport, offload, check)
        except _THROWN as error:
            answer = _thrown(error)
        except CancelledError as error:
            if cancelled is not None:
                raise
            answer, cancelled = Interrupted(), error
        wish = await offload(partial(_advance, session, answer))
    if cancelled is not None:
        raise cancelled
    return wish


async def _carry_out_async(wish: Wish, transport: AsyncTransport, offload: Offload, check: Callable[[], None]) -> Any:  # noqa: ANN401
    match wish:
        case Call(request):
            return await transport.call(request)
        case Fetch(resource):
            return await fetch_async(transport, resource)
        case Train(training):
            await sleep(0)  # raises a cancellation that came during the step before
            check()
            return await offload(partial(_step, training))
        case Upload(header, data):
            return await transport.send(UploadContributionRequest, _requests(header, data))
        case _:
            raise _unknown(wish)


async def fetch_async(transport: AsyncTransport, resource: Resource) -> bytes:
    """Fetches a whole blob.

    Raises:
        TransportError, StatusError: the call was not answered, or was refused.
        BlobError: the bytes that came are not the blob.
    """
    assembler = Assembler(resource)
    async with aclosing(transport.receive(_request(resource))) as responses:
        async for response in responses:
            assembler.add(_part(response))
    return assembler.finish()


def _request(resource: Resource) -> FetchResourceRequest:
    return FetchResourceRequest(sha256=resource.sha256)


def _part(response: Message) -> bytes:
    assert isinstance(response, FetchResourceResponse)  # transports take the class from the service's descriptor
    return response.data


def _requests(header: UploadHeader, data: bytes) -> Iterator[UploadContributionRequest]:
    yield UploadContributionRequest(header=header)
    for chunk in blobs.chunks(data):
        yield UploadContributionRequest(data=chunk)
