"""Drivers carry out what a session wishes: one blocking, for a device; one for asyncio, for fleets."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from client_sdk.contracts import AsyncTransport, Transport
from client_sdk.errors import FedError
from client_sdk.session import CheckIn, Fetch, Interrupted, Outcome, ReportFailure, Session, Train, Upload, Wish
from fedau2.v1.device_pb2 import FetchResourceRequest
from fedau2.v1.task_pb2 import Resource
from fedau2.wire.blobs import Assembler
from fedau2.wire.errors import BlobError
from fedau2.wire.status import StatusError

THROWN = (StatusError, FedError, BlobError, Interrupted)
"""What is thrown into a session; anything else is a mistake of the program."""


def drive(session: Session, transport: Transport, check: Callable[[], None] = lambda: None) -> Outcome:
    """Runs a session to its end, blocking.

    Args:
        session: fresh, from `session.session`.
        transport: the way to the coordinator.
        check: called before each local step and with each piece of a blob; raises `Interrupted` to stop.

    Raises:
        FedError, StatusError: as the session does.
    """
    try:
        wish = next(session)
        while True:
            try:
                result = _carry_out(wish, transport, check)
            except THROWN as error:
                wish = session.throw(error)
            else:
                wish = session.send(result)
    except StopIteration as end:
        return _outcome(end)


def _carry_out(wish: Wish, transport: Transport, check: Callable[[], None]) -> Any:  # noqa: ANN401
    match wish:
        case CheckIn(request):
            return transport.check_in(request)
        case Fetch(resource):
            assembler = Assembler(resource)
            for data in transport.fetch(_request(resource)):
                check()
                assembler.add(data)
            return assembler.finish()
        case Train(training):
            check()
            return training.step()
        case Upload(header, data):
            return transport.upload(header, data)
        case ReportFailure(request):
            return transport.report_failure(request)


async def drive_async(session: Session, transport: AsyncTransport) -> Outcome:
    """Runs a session to its end within asyncio; local steps run on the loop.

    Raises:
        FedError, StatusError: as the session does.
    """
    try:
        wish = next(session)
        while True:
            try:
                result = await carry_out_async(wish, transport)
            except THROWN as error:
                wish = session.throw(error)
            else:
                wish = session.send(result)
    except StopIteration as end:
        return _outcome(end)


async def carry_out_async(wish: Wish, transport: AsyncTransport) -> Any:  # noqa: ANN401
    """The result of a wish; a local step is taken on the loop.

    Raises:
        FedError, StatusError, BlobError: what a session is to be told.
    """
    match wish:
        case CheckIn(request):
            return await transport.check_in(request)
        case Fetch(resource):
            return await fetch_async(transport, resource)
        case Train(training):
            return training.step()
        case Upload(header, data):
            return await transport.upload(header, data)
        case ReportFailure(request):
            return await transport.report_failure(request)


async def fetch_async(transport: AsyncTransport, resource: Resource) -> bytes:
    """A whole blob.

    Raises:
        TransportError, StatusError: unanswered or refused.
        BlobError: what came is not the blob.
    """
    assembler = Assembler(resource)
    async with aclosing(transport.fetch(_request(resource))) as parts:
        async for data in parts:
            assembler.add(data)
    return assembler.finish()


def _request(resource: Resource) -> FetchResourceRequest:
    return FetchResourceRequest(sha256=resource.sha256)


def _outcome(end: StopIteration) -> Outcome:
    outcome: Outcome = end.value
    return outcome
