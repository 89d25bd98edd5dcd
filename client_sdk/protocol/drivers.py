"""Drivers carry out a session's wishes: one blocks, for a device; one is for asyncio, for fleets and apps."""

from asyncio import CancelledError, sleep
from collections.abc import Callable
from contextlib import aclosing, closing
from functools import partial
from math import inf
from typing import Any, NoReturn, Protocol, TypeVar

from client_sdk.errors import FedError, TransportError, UnknownWishError
from client_sdk.protocol import transfers
from client_sdk.protocol.contributing import engine_failures
from client_sdk.protocol.interfaces import SOON, AsyncTransport, Training, Transport
from client_sdk.protocol.session import Session
from client_sdk.protocol.wishes import (
    Call,
    Enrol,
    Fetch,
    Interrupted,
    Outcome,
    Prove,
    Result,
    TooSlow,
    Train,
    Upload,
    Wish,
)
from fedau2.v1.device_pb2 import UploadContributionRequest
from fedau2.wire.errors import BlobError, UnknownMethodError
from fedau2.wire.status import StatusError

_T = TypeVar("_T")

_THROWN = (StatusError, FedError, BlobError, UnknownMethodError, Interrupted, TooSlow)

Check = Callable[[], float]
"""Returns the seconds that the work may still take, and raises `Interrupted` if it must stop now."""


Enrolling = Callable[[float], None]
"""Gets certificates of the unmaskers that the app names, within so many seconds."""


Proving = Callable[[], bytes]
"""Returns evidence of who the user is, for the coordinator."""


def nothing() -> bytes:
    """The `Proving` of a device that has nothing to show."""
    return b""


def unlimited() -> float:
    """The `Check` of work that may take any time."""
    return inf


def drive(
    session: Session,
    transport: Transport,
    check: Check = unlimited,
    enrol: Enrolling | None = None,
    prove: Proving = nothing,
) -> Outcome:
    """Runs a session to its end, blocking. If Ctrl-C or the process's end stops it, it gives the place back first.

    Args:
        session: fresh, from `session.session`.
        transport: the way to the coordinator.
        check: called before each call, transfer and local step, and with each chunk of a blob.
        enrol: enrols the device; None: a session's wish for it is not known.
        prove: gives evidence of who the user is.

    Raises:
        FedError, StatusError: as the session does.
    """
    stopped: BaseException | None = None
    wish = _advance(session, None)
    while not isinstance(wish, Outcome):
        answer: Any
        try:
            answer = _carry_out(wish, transport, check, enrol, prove)
        except _THROWN as error:
            answer = _thrown(error, check)
        except (KeyboardInterrupt, SystemExit) as error:
            if stopped is not None:
                raise
            answer, check, stopped = Interrupted(), _stop, error
        wish = _advance(session, answer)
    if stopped is not None:
        raise stopped
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


def _carry_out(wish: Wish, transport: Transport, check: Check, enrol: Enrolling | None, prove: Proving) -> Any:  # noqa: ANN401
    match wish:
        case Call(request, parting):
            return transport.call(request, max(_left(check), SOON) if parting else check())
        case Fetch(_, into, within):
            left = check()
            if missing := transfers.missing(wish):
                with closing(transport.receive(missing, min(within, left))) as responses:
                    for response in responses:
                        check()
                        into.add(transfers.part(response))
            return into.finish()
        case Train(training):
            check()
            return _step(training)
        case Upload(header, data, within):
            return transport.send(UploadContributionRequest, transfers.requests(header, data), min(within, check()))
        case Enrol() if enrol is not None:
            return enrol(check())
        case Prove():
            check()
            return prove()
        case _:
            raise _unknown(wish)


def _thrown(error: Exception, check: Check) -> Exception:
    if isinstance(error, UnknownMethodError):
        return UnknownWishError(f"this driver cannot make the call: {error}")
    if isinstance(error, TransportError) and not _left(check):
        return Interrupted()  # the call was ended because the work must stop
    return error


def _left(check: Check) -> float:
    try:
        return check()
    except Interrupted:
        return 0.0


def _stop() -> NoReturn:
    raise Interrupted


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
    session: Session,
    transport: AsyncTransport,
    offload: Offload = _on_loop,
    check: Check = unlimited,
    enrol: Enrolling | None = None,
    prove: Proving = nothing,
) -> Outcome:
    """Runs a session to its end within asyncio. If it is cancelled, it gives the place in the round back first.

    Args:
        session: fresh, from `session.session`.
        transport: the way to the coordinator.
        offload: runs the session and its local steps, keeps what is fetched, and enrols; on the loop by default.
        check: as for `drive`.
        enrol: as for `drive`.
        prove: as for `drive`.

    Raises:
        FedError, StatusError: as the session does.
    """
    cancelled: CancelledError | None = None
    wish = await offload(partial(_advance, session, None))
    while not isinstance(wish, Outcome):
        answer: Any
        try:
            answer = await _carry_out_async(wish, transport, offload, check, enrol, prove)
        except _THROWN as error:
            answer = _thrown(error, check)
        except CancelledError as error:
            if cancelled is not None:
                raise
            answer, check, cancelled = Interrupted(), _stop, error
        wish = await offload(partial(_advance, session, answer))
    if cancelled is not None:
        raise cancelled
    return wish


async def _carry_out_async(
    wish: Wish, transport: AsyncTransport, offload: Offload, check: Check, enrol: Enrolling | None, prove: Proving
) -> Any:  # noqa: ANN401
    match wish:
        case Call(request, parting):
            return await transport.call(request, max(_left(check), SOON) if parting else check())
        case Fetch():
            return await fetch_async(wish, transport, offload, check)
        case Train(training):
            await sleep(0)  # raises a cancellation that came during the step before
            check()
            return await offload(partial(_step, training))
        case Upload(header, data, within):
            return await transport.send(
                UploadContributionRequest, transfers.requests(header, data), min(within, check())
            )
        case Enrol() if enrol is not None:
            return await offload(partial(enrol, check()))
        case Prove():
            check()
            return await offload(prove)
        case _:
            raise _unknown(wish)


async def fetch_async(
    wish: Fetch, transport: AsyncTransport, offload: Offload = _on_loop, check: Check = unlimited
) -> bytes:
    """Fetches the rest of a blob, and returns the whole of it.

    Args:
        wish: the blob.
        transport: the way to the coordinator.
        offload: keeps what comes.
        check: as for `drive`.

    Raises:
        TransportError, StatusError: the call was not answered, or was refused.
        BlobError: the bytes that came are not the blob.
    """
    left = check()
    if missing := transfers.missing(wish):
        async with aclosing(transport.receive(missing, min(wish.within, left))) as responses:
            async for response in responses:
                check()
                await offload(partial(wish.into.add, transfers.part(response)))
    return await offload(wish.into.finish)
