"""Transfers may take any time, but not be silent. Time passes only where a servicer waits for its caller to hang up."""
# ruff: noqa: N802 - the names of gRPC's servicers

import asyncio
import threading
from contextlib import aclosing, closing

import grpc
import pytest

from client_sdk.errors import TransportError
from client_sdk.transport.grpc_transport import AioGrpcTransport, GrpcTransport
from client_sdk.transport.silence import Alarm
from fedau2.v1 import device_pb2_grpc
from fedau2.v1.device_pb2 import (
    FetchResourceRequest,
    FetchResourceResponse,
    UploadContributionRequest,
    UploadContributionResponse,
)

SILENCE = 0.2
LONG = 60.0
PIECES = 16


class Mute(device_pb2_grpc.DeviceServiceServicer):
    """Sends one piece, or takes one, and then says nothing until the caller hangs up."""

    def __init__(self):
        self.hung_up = threading.Event()

    def _wait(self, context):
        if not context.add_callback(self.hung_up.set):
            self.hung_up.set()
        self.hung_up.wait(LONG)

    def FetchResource(self, request, context):
        yield FetchResourceResponse(data=b"first")
        self._wait(context)

    def UploadContribution(self, request_iterator, context):
        next(request_iterator)
        self._wait(context)
        return UploadContributionResponse()


def blocking(address, name, **options):
    def act():
        with GrpcTransport(address, silence=SILENCE) as transport:
            if name == "fetch":
                return list(transport.receive(FetchResourceRequest(), **options))
            requests = iter([UploadContributionRequest(data=b"first")])
            return transport.send(UploadContributionRequest, requests, **options)

    with pytest.raises(TransportError) as raised:
        act()
    return str(raised.value)


def asynchronous(address, name, **options):
    async def main():
        async with AioGrpcTransport(address, silence=SILENCE) as transport:
            if name == "fetch":
                return [response async for response in transport.receive(FetchResourceRequest(), **options)]
            requests = iter([UploadContributionRequest(data=b"first")])
            return await transport.send(UploadContributionRequest, requests, **options)

    with pytest.raises(TransportError) as raised:
        asyncio.run(main())
    return str(raised.value)


@pytest.fixture(params=[blocking, asynchronous])
def fail(request):
    """Makes a call that fails with either transport; returns the error's text."""
    return request.param


@pytest.mark.parametrize("name", ["fetch", "upload"])
def test_a_transfer_in_which_nothing_moves_is_ended(fail, serve, name):
    mute = Mute()
    assert "nothing moved between" in fail(serve(mute), name)
    assert mute.hung_up.wait(LONG)


@pytest.mark.parametrize("name", ["fetch", "upload"])
def test_a_transfer_ends_at_its_timeout(fail, serve, name, monkeypatch):
    monkeypatch.setitem(globals(), "SILENCE", LONG)
    mute = Mute()
    assert "did not answer in time" in fail(serve(mute), name, timeout=0.1)
    assert mute.hung_up.wait(LONG)


def test_an_alarm_rings_in_a_block_that_takes_too_long_and_not_after_it():
    rung = threading.Event()
    alarm = Alarm(LONG, rung.set)
    for _ in range(3):
        with alarm:
            pass
        assert alarm._timer.finished.is_set()
    assert not alarm.rang
    alarm = Alarm(0.0, rung.set)
    with alarm:
        assert rung.wait(LONG)
    assert alarm.rang


def test_a_call_that_is_refused_is_not_silent(serve):
    class Refusing(Mute):
        def UploadContribution(self, request_iterator, context):
            context.abort(grpc.StatusCode.CANCELLED, "because")

    assert "because" in blocking(serve(Refusing()), "upload")


class Peers(device_pb2_grpc.DeviceServiceServicer):
    """Sends more pieces than fit on their way, and writes down from which connection each call comes."""

    def __init__(self):
        self.peers = []

    def FetchResource(self, request, context):
        self.peers.append(context.peer())
        for _ in range(PIECES):
            yield FetchResourceResponse(data=bytes(2**20))


def fetch(transport, pieces):
    with closing(transport.receive(FetchResourceRequest())) as responses:
        return [response for response, _ in zip(responses, range(pieces), strict=False)]


async def fetch_async(transport, pieces):
    came = []
    async with aclosing(transport.receive(FetchResourceRequest())) as responses:
        async for response in responses:
            came.append(response)
            if len(came) == pieces:
                break
    return came


@pytest.mark.parametrize(("pieces", "connections"), [(1, 3), (PIECES + 1, 1)])
def test_a_stream_that_is_left_early_does_not_delay_later_calls(serve, pieces, connections):
    peers = Peers()
    address = serve(peers)
    with GrpcTransport(address) as transport:
        for _ in range(3):
            fetch(transport, pieces)
    assert len(set(peers.peers)) == connections

    async def main():
        async with AioGrpcTransport(address) as transport:
            for _ in range(3):
                await fetch_async(transport, pieces)

    peers.peers.clear()
    asyncio.run(main())
    assert len(set(peers.peers)) == connections


def test_a_stream_that_is_left_early_ends_no_call_of_another_session(serve):
    async def main():
        async with AioGrpcTransport(serve(Peers())) as transport:
            other = transport.receive(FetchResourceRequest())
            await anext(other)
            await fetch_async(transport, 1)
            assert len([response async for response in other]) == PIECES - 1

    asyncio.run(main())
