import asyncio
import threading
from dataclasses import replace

import pytest

from client_sdk import retry
from client_sdk.errors import DamagedTaskError, MissingFeatureError, NoDataError, TransportError, UnknownWishError
from client_sdk.protocol.contributing import PIECE
from client_sdk.protocol.drivers import drive, drive_async, unlimited
from client_sdk.protocol.wishes import Call, Fetch, Outcome, Result, Train, Upload
from client_sdk.transport.inprocess import InProcessTransport
from fedau2.v1.device_pb2 import FailureReason, UploadHeader
from fedau2.v1.task_pb2 import Resource
from fedau2.wire.methods import DEVICE
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.sessions import begin, is_a, is_check_in, is_failure, until


class Service:
    """The scripted coordinator as an object that handles DeviceService on an event loop."""

    def __init__(self, remote):
        self.remote = remote

    async def check_in(self, request):
        return self.remote.check_in(request)

    async def fetch_resource(self, request):
        for response in self.remote.fetch_resource(request):
            yield response

    async def upload_contribution(self, requests):
        return self.remote.upload_contribution([request async for request in requests])

    async def upload_offset(self, request):
        return self.remote.upload_offset(request)

    async def report_failure(self, request):
        return self.remote.report_failure(request)


DRIVERS = {
    "blocking": lambda running, remote, check=unlimited: drive(running, remote, check),
    "asyncio": lambda running, remote, check=unlimited: asyncio.run(
        drive_async(running, InProcessTransport(Service(remote)), check=check)
    ),
}


@pytest.fixture(params=DRIVERS)
def run(request):
    """Drives a session against a scripted coordinator."""
    return DRIVERS[request.param]


def test_drivers_run_a_session_to_its_end(run, busy, remote, window):
    assert run(begin(busy), remote) == Outcome(Result.UPLOADED, retry.window(window))
    assert remote.names() == ["check_in"] + ["fetch"] * 6 + ["upload"]


def test_drivers_upload_what_the_session_wished(run, busy, remote, bundle):
    wish, _ = until(Upload, begin(busy), bundle)
    busy.discard(wish.header.assignment_id)
    run(begin(busy), remote)
    assert remote.calls[-1][1] == (wish.header, wish.data)


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
def test_drivers_upload_in_pieces_that_a_slow_link_brings_in_time(run, remote, size):
    def uploading():
        yield Upload(UploadHeader(size=size), bytes(size))
        return Outcome(Result.UPLOADED)

    run(uploading(), remote)
    assert remote.calls[-1][1] == (UploadHeader(size=size), bytes(size))
    assert remote.sizes == [min(PIECE, size - start) for start in range(0, size, PIECE)]
    assert PIECE <= 2**16


@pytest.mark.parametrize("offset", [0, 1, PIECE, 2 * PIECE, 2 * PIECE + 1])
def test_drivers_upload_from_the_offset_on(run, remote, offset):
    data = bytes(PIECE) + bytes([1]) * PIECE + b"\2"
    header = UploadHeader(size=len(data), offset=offset)

    def uploading():
        yield Upload(header, data)
        return Outcome(Result.UPLOADED)

    run(uploading(), remote)
    assert remote.calls[-1][1] == (header, data[offset:])


def test_drivers_throw_what_goes_wrong_into_the_session(run, busy, remote, window):
    remote.refusals["upload"] = StatusError(Status.ABORTED, "closed", window)
    assert run(begin(busy), remote) == Outcome(Result.REFUSED, retry.window(window), "closed")
    remote.refusals["check_in"] = TransportError("gone")
    with pytest.raises(TransportError):
        run(begin(busy), remote)


def test_drivers_stop_a_blob_that_is_longer_than_declared(run, busy, remote, bundle):
    remote.bundle = replace(bundle, blobs={key: data + b"more" for key, data in bundle.blobs.items()})
    with pytest.raises(DamagedTaskError, match="more bytes than"):
        run(begin(busy), remote)
    assert remote.names() == ["check_in", "fetch", "report_failure"]


def test_a_task_that_requires_an_unknown_feature_is_given_back_before_anything_else_is_fetched(
    run, busy, remote, bundle
):
    remote.bundle = bundle.with_manifest(required_features=["later-sums"])
    remote.assignment = remote.bundle.assignment()
    with pytest.raises(MissingFeatureError, match=r"\(later-sums\): update the app"):
        run(begin(busy), remote)
    assert remote.names() == ["check_in", "fetch", "report_failure"]
    assert remote.calls[1][1].sha256 == remote.bundle.address.sha256
    assert remote.calls[2][1].reason == FailureReason.FAILURE_REASON_UNSUPPORTED
    assert busy.model() is None


class Later:
    """A wish of a later version of the protocol."""


def later(session, picks, instead=Later):
    """The same session, wishing for what no driver knows instead of the wishes that a function picks."""
    wish = next(session)
    while True:
        try:
            answer = yield instead() if picks(wish) else wish
        except BaseException as error:
            act, value = session.throw, error
        else:
            act, value = session.send, answer
        try:
            wish = act(value)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("picks", [is_check_in, is_a(Fetch), is_a(Train), is_a(Upload)])
@pytest.mark.parametrize("instead", [Later, lambda: Call(Resource())], ids=["wish", "call"])
def test_a_wish_that_a_driver_does_not_know_ends_the_session_and_gives_the_place_back(
    run, busy, remote, picks, instead
):
    with pytest.raises(UnknownWishError, match=r"does not know the wish Later|no method of .* takes one Resource"):
        run(later(begin(busy), picks, instead), remote)
    assert "upload" not in remote.names()
    assert busy.staged() is None
    assert busy.private("task") is None
    given_back = [request.reason for name, request in remote.calls if name == "report_failure"]
    assert given_back == ([] if picks is is_check_in else [FailureReason.FAILURE_REASON_UNSUPPORTED])


def test_a_waiting_upload_that_a_driver_does_not_know_how_to_make_goes_on_waiting(run, busy, remote, bundle):
    until(Upload, begin(busy), bundle)
    with pytest.raises(UnknownWishError):
        run(later(begin(busy), is_a(Upload)), remote)
    assert busy.staged() is not None  # an older driver may have sent it
    assert run(begin(busy), remote).result is Result.UPLOADED


def test_a_driver_that_cannot_give_a_place_back_leaves_it_to_the_lease(run, store, remote):
    with pytest.raises(NoDataError):
        run(later(begin(store), is_failure), remote)
    assert remote.names() == ["check_in"] + ["fetch"] * 6


class Stalled(InProcessTransport):
    """Never answers some kinds of calls, and says when one is made."""

    def __init__(self, remote, *calls):
        super().__init__(Service(remote))
        self.calls, self.waiting = calls, asyncio.Event()

    async def _stall(self, name):
        if name in self.calls:
            self.waiting.set()
            await asyncio.Event().wait()

    async def call(self, request, timeout):
        await self._stall(DEVICE.taking(type(request)).handler)
        return await super().call(request)

    async def receive(self, request, timeout):
        await self._stall("fetch")
        async for response in super().receive(request):
            yield response

    async def send(self, kind, requests, timeout):
        await self._stall("upload")
        return await super().send(kind, requests)


@pytest.mark.parametrize(
    ("call", "said", "staged"),
    [
        ("check_in", [], False),
        ("fetch", ["check_in", "report_failure"], False),
        ("upload", ["check_in"] + ["fetch"] * 6, True),
    ],
)
def test_a_cancelled_session_gives_its_place_back_and_keeps_what_is_trained(busy, remote, call, said, staged):
    async def main():
        transport = Stalled(remote, call)
        running = asyncio.create_task(drive_async(begin(busy), transport))
        await transport.waiting.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert remote.names() == said
    assert (busy.staged() is not None) == staged
    assert busy.private("task") is None
    assert drive(begin(busy), remote).result is Result.UPLOADED


def test_a_session_cancelled_twice_does_not_wait_for_the_coordinator(busy, remote):
    async def main():
        transport = Stalled(remote, "fetch", "report_failure")
        running = asyncio.create_task(drive_async(begin(busy), transport))
        for _ in range(2):
            await transport.waiting.wait()
            transport.waiting.clear()
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert remote.names() == ["check_in"]


def test_a_session_may_run_in_another_thread(busy, remote, window):
    threads = []

    async def offload(work):
        def noted():
            threads.append(threading.get_ident())
            return work()

        return await asyncio.to_thread(noted)

    async def main():
        return await drive_async(begin(busy), InProcessTransport(Service(remote)), offload)

    assert asyncio.run(main()) == Outcome(Result.UPLOADED, retry.window(window))
    # To its first wish, on after each wish, the one piece and the end of each of six blobs, and two local steps.
    assert len(threads) == 1 + len(remote.calls) + 6 * 2 + 2 * 2
    assert threading.get_ident() not in threads
