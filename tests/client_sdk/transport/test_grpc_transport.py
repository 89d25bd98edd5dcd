import asyncio
from dataclasses import replace

import grpc
import pytest

from client_sdk import retry
from client_sdk.errors import TransportError, UnknownCallError, UsageError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.drivers import drive, drive_async
from client_sdk.protocol.session import session
from client_sdk.protocol.wishes import Outcome, Result
from client_sdk.transport.grpc_transport import AioGrpcTransport, GrpcTransport
from client_sdk.transport.target import Address
from fedau2.v1 import admin_pb2, device_pb2_grpc
from fedau2.v1.device_pb2 import (
    CheckInRequest,
    FetchResourceRequest,
    ReportFailureRequest,
    UploadContributionRequest,
    UploadHeader,
    UploadOffsetRequest,
)
from fedau2.wire import blobs
from fedau2.wire.errors import UnknownMethodError
from fedau2.wire.methods import Service
from fedau2.wire.status import RETRY_METADATA, Status, StatusError
from tests import certificates

CALLS = ["check_in", "fetch", "upload", "offset", "report_failure"]
UNANSWERED = [Status.CANCELLED, Status.UNKNOWN, Status.INTERNAL, Status.UNAVAILABLE]
OTHERS = (Status.DEADLINE_EXCEEDED, Status.PERMISSION_DENIED)
"""Statuses that mean something else on the way: see test_credentials for the second."""

REFUSED = [status for status in Status if status not in (*UNANSWERED, *OTHERS)]


def arguments(name, bundle):
    """A method of a transport, and arguments for it."""
    return {
        "check_in": ("call", CheckInRequest(population="films", client_version="1")),
        "fetch": ("receive", FetchResourceRequest(sha256=bundle.checkpoint.sha256, offset=3)),
        "upload": upload(UploadHeader(assignment_id=b"a" * 16, size=5, sha256=b"h" * 32), b"12345"),
        "offset": ("call", UploadOffsetRequest(assignment_id=b"a" * 16, sha256=b"h" * 32)),
        "report_failure": ("call", ReportFailureRequest(assignment_id=b"a" * 16, reason=2)),
    }[name]


def upload(header, *parts):
    requests = [UploadContributionRequest(header=header), *(UploadContributionRequest(data=data) for data in parts)]
    return "send", UploadContributionRequest, iter(requests)


def blocking(address, method, *values, **options):
    with GrpcTransport(address, **options) as transport:
        result = getattr(transport, method)(*values)
        return list(result) if method == "receive" else result


def asynchronous(address, method, *values, **options):
    async def main():
        async with AioGrpcTransport(address, **options) as transport:
            if method == "receive":
                return [response async for response in transport.receive(*values)]
            return await getattr(transport, method)(*values)

    return asyncio.run(main())


@pytest.fixture(params=[blocking, asynchronous])
def call(request):
    """Makes one call with either transport."""
    return request.param


@pytest.mark.parametrize("name", CALLS)
def test_each_call_brings_its_request_there_and_the_answer_back(call, address, remote, bundle, name):
    result = call(address, *arguments(name, bundle))
    method, *values = arguments(name, bundle)
    ((called, there),) = remote.calls
    assert called == name
    assert there == ((next(values[1]).header, b"12345") if name == "upload" else values[0])
    answer = getattr(remote, method)(*arguments(name, bundle)[1:])
    assert result == (list(answer) if name == "fetch" else answer)


def test_a_message_that_no_method_takes_is_not_sent(call, address, remote):
    with pytest.raises(UnknownMethodError):
        call(address, "call", UploadHeader())
    with pytest.raises(UnknownMethodError):
        call(address, "receive", CheckInRequest())
    with pytest.raises(UnknownMethodError):
        call(address, "send", CheckInRequest, iter([CheckInRequest()]))
    assert remote.calls == []


def test_another_service_is_called_where_one_is_given(call, serve):
    service = Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"])
    with pytest.raises(TransportError, match="UNIMPLEMENTED"):  # nothing at this address handles it
        call(serve(device_pb2_grpc.DeviceServiceServicer()), "call", admin_pb2.GetTaskRequest(), service=service)


@pytest.mark.parametrize("size", [0, 1, blobs.CHUNK, blobs.CHUNK + 1, 5 * blobs.CHUNK])
def test_uploads_of_any_size_arrive_whole(call, address, remote, size):
    data = bytes(size)
    call(address, *upload(UploadHeader(size=size), *blobs.chunks(data)))
    assert remote.calls[0][1][1] == data
    assert remote.sizes == [len(chunk) for chunk in blobs.chunks(data)]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_keeps_status_text_and_retry_window(call, address, remote, bundle, window, name, status):
    remote.refusals[name] = StatusError(status, "because", window)
    with pytest.raises(StatusError, match="because") as raised:
        call(address, *arguments(name, bundle))
    assert (raised.value.status, raised.value.retry) == (status, window)


@pytest.mark.parametrize("retry", [True, False])
def test_a_deadline_is_a_refusal_only_where_the_coordinator_says_so(call, address, remote, bundle, window, retry):
    remote.refusals["upload"] = StatusError(Status.DEADLINE_EXCEEDED, "lease over", window if retry else None)
    with pytest.raises(StatusError if retry else TransportError, match="lease over"):
        call(address, *arguments("upload", bundle))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", UNANSWERED)
def test_codes_that_say_nothing_of_the_request_are_no_answer(call, address, remote, bundle, window, name, status):
    remote.refusals[name] = StatusError(status, "because", window)
    with pytest.raises(TransportError, match="because") as raised:
        call(address, *arguments(name, bundle))
    assert raised.value.temporary


def test_a_retry_window_that_cannot_be_read_is_none(call, servicer, serve, bundle):
    def abort(request, context):
        context.set_trailing_metadata(((RETRY_METADATA, b"\xff\xff"),))
        context.abort(grpc.StatusCode.ABORTED, "closed")

    servicer.CheckIn = abort
    with pytest.raises(StatusError) as raised:
        call(serve(servicer), *arguments("check_in", bundle))
    assert raised.value.retry is None


def test_a_server_that_is_no_coordinator_is_told(call, servicer, serve, bundle):
    servicer.CheckIn = lambda request, context: context.abort(grpc.StatusCode.UNIMPLEMENTED, "what?")
    with pytest.raises(UnknownCallError, match=r"UNIMPLEMENTED: is it a FedAU2 server") as raised:
        call(serve(servicer), *arguments("check_in", bundle))
    assert not raised.value.temporary


@pytest.mark.parametrize("name", CALLS)
def test_nobody_there_says_where_it_looked(call, nowhere, bundle, name):
    with pytest.raises(TransportError) as raised:
        call(nowhere, *arguments(name, bundle))
    assert nowhere in str(raised.value)
    assert "is the server running" in str(raised.value)
    assert raised.value.temporary


def test_a_coordinator_that_is_busy_is_not_taken_for_one_that_is_not_there(call, address, remote, bundle, window):
    remote.refusals["check_in"] = StatusError(Status.UNAVAILABLE, "the coordinator is starting", window)
    with pytest.raises(TransportError) as raised:
        call(address, *arguments("check_in", bundle))
    assert str(raised.value) == f"{address} takes no such call now: the coordinator is starting"
    assert raised.value.retry == retry.window(window)


def test_no_answer_in_time_is_no_answer(call, silent, serve, bundle):
    with pytest.raises(TransportError, match="did not answer in time") as raised:
        call(serve(silent), *arguments("check_in", bundle), timeout=0.05)
    assert raised.value.temporary


def test_a_coordinator_that_comes_back_is_found_by_the_next_transport(call, nowhere, serve, servicer, bundle):
    with pytest.raises(TransportError):
        call(nowhere, *arguments("check_in", bundle))
    serve(servicer, nowhere)
    assert call(nowhere, *arguments("check_in", bundle)).assignment == bundle.assignment()


def test_a_closed_transport_opens_again(address, bundle):
    transport = GrpcTransport(address)
    transport.close()
    for _ in range(2):
        assert transport.call(arguments("check_in", bundle)[1]).assignment
        transport.close()


def test_once_hung_up_a_place_can_still_be_given_back(address, bundle):
    with GrpcTransport(address) as transport:
        transport.hang_up()
        assert transport.call(arguments("report_failure", bundle)[1]).next_check_in


def test_a_fetch_may_be_left_early(address, remote, bundle):
    remote.bundle = replace(bundle, blobs={bundle.checkpoint.sha256: bytes(4 * blobs.CHUNK)})
    with GrpcTransport(address) as transport:
        responses = transport.receive(arguments("fetch", bundle)[1])
        assert len(next(responses).data) == blobs.CHUNK
        responses.close()
        assert transport.call(arguments("check_in", bundle)[1]).assignment


@pytest.fixture(scope="session")
def make_certificate():
    """Makes a key and a certificate, as PEM."""
    return certificates.make


@pytest.fixture(scope="session")
def certificate(make_certificate):
    """A key and a certificate for this machine, as PEM."""
    return make_certificate()


@pytest.fixture
def secure(certificate, serve, servicer):
    return serve(servicer, credentials=grpc.ssl_server_credentials([certificate]))


def test_tls_reaches_a_coordinator_that_the_root_certificates_know(call, secure, certificate, bundle):
    response = call(Address(secure, certificate[1]), *arguments("check_in", bundle))
    assert response.assignment == bundle.assignment()


def test_tls_does_not_talk_to_strangers_and_says_so(call, address, secure, certificate, make_certificate, bundle):
    values = arguments("check_in", bundle)
    with pytest.raises(TransportError, match=f"cannot reach {address}: it answers in plaintext") as wrong:
        call(Address(address, certificate[1]), *values)
    assert not wrong.value.temporary
    with pytest.raises(
        TransportError, match=f"cannot reach {secure}: it closed the connection, which was plaintext"
    ) as cut:
        call(secure, *values)
    assert cut.value.temporary  # a coordinator that restarts does so too
    with pytest.raises(TransportError, match=f"cannot reach {secure}: no authority that is trusted here") as strange:
        call(Address(secure, make_certificate()[1]), *values)
    assert not strange.value.temporary


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"since": -2, "until": -1}, "its certificate has expired"),
        ({"since": 1, "until": 2}, "its certificate is not valid yet"),
        ({"names": ["other.example.com"]}, "its certificate is for another host's name"),
        ({"names": []}, "its certificate is for another host's name"),  # an address is looked for there only
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_first(
    call, serve, servicer, make_certificate, bundle, options, reason
):
    pair = make_certificate(**options)
    secure = serve(servicer, credentials=grpc.ssl_server_credentials([pair]))
    with pytest.raises(TransportError, match=f"^cannot reach {secure}: {reason}") as raised:
        call(Address(secure, pair[1]), *arguments("check_in", bundle))
    assert raised.value.temporary == ("names" not in options)


def test_plaintext_leaves_this_machine_only_when_told_to():
    assert GrpcTransport("fed.example.com:443")._credentials is not None
    assert GrpcTransport(Address("fed.example.com:443", insecure=True))._credentials is None


@pytest.mark.parametrize("transport", [GrpcTransport, AioGrpcTransport])
def test_arguments_that_cannot_be_meant_are_told(transport):
    with pytest.raises(UsageError, match="host:port"):
        transport("http://fed.example.com")
    with pytest.raises(UsageError, match="plaintext"):
        transport(Address("fed.example.com:1", b"PEM", insecure=True))


def test_both_transports_carry_a_whole_session_with_the_same_bytes(store, address, remote, window):
    store.record("film-1", 0)
    uploads = []

    async def main():
        async with AioGrpcTransport(address) as transport:
            return await drive_async(session(store, TorchEngine(), "films", "1"), transport)

    def blocked():
        with GrpcTransport(address) as transport:
            return drive(session(store, TorchEngine(), "films", "1"), transport)

    remote.refusals["upload"] = StatusError(Status.ABORTED, "closed", window)
    for outcome in (asyncio.run(main()), blocked()):
        assert outcome == Outcome(Result.REFUSED, retry.window(window), "closed")
        uploads.append(remote.calls[-1])
    assert uploads[0] == uploads[1]
