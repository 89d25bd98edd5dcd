"""Transfers may take any time, but not be silent. Time passes only where a servicer waits for its caller to hang up."""
# ruff: noqa: N802 - the names of gRPC's servicers

import asyncio
import threading

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
