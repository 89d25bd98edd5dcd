"""The web port answers the calls of devices, and turns everything else away."""

import asyncio
import gzip
import json
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("connectrpc", reason="the extra web is not installed")

from coordinator.grpc.server import ADMIN, LARGEST
from fedau2.v1 import device_pb2
from fedau2.wire import addresses
from fedau2.wire.methods import DEVICE
from tests.coordinator.web.caller import STREAM, UNARY, enveloped, opened, request
from tests.coordinator.web.labs import open_web

CHECK_IN = "/fedau2.v1.DeviceService/CheckIn"
SHOP = "https://shop.example.com"
WINDOW = "trailer-fedau2-retry-window-bin"


def answers(folder, *calls, **options):
    """The answers to some calls, one after another."""

    async def run():
        async with open_web(folder, **options) as lab:
            await lab.create()
            found = [await lab.link.post(*args, **named) for args, named in calls]
            before = await lab.only_task()
            await lab.assignment()  # it goes on
            assert before.reported == 0
            return found

    return asyncio.run(run())


def call(*args, **named):
    return args, named


def preflight(origin):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,authorization"}
    return call(CHECK_IN, method="OPTIONS", Origin=origin, **asks)


def test_the_pages_of_an_origin_may_call_if_it_is_named(tmp_path):
    refused = device_pb2.CheckInRequest().SerializeToString()
    calls = [preflight(SHOP), preflight("https://shop.example.com.evil.org"), preflight("null")]
    calls += [call(CHECK_IN, refused, Origin=SHOP), call(CHECK_IN, refused, Origin="http://evil.org")]
    allowed, foreign, null, mine, theirs = answers(tmp_path, *calls, origins=("http://localhost:5173", SHOP))
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert allowed.headers["access-control-allow-methods"] == "POST"
    assert set(allowed.headers["access-control-allow-headers"].split(",")) >= {"content-type", "authorization"}
    assert "access-control-allow-credentials" not in allowed.headers
    for answer in (foreign, null):
        assert answer.status == 400
        assert "access-control-allow-origin" not in answer.headers
    assert mine.headers["access-control-allow-origin"] == SHOP
    assert WINDOW in mine.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in theirs.headers


@pytest.mark.parametrize(("origins", "status"), [((), 400), (("*",), 200)])
def test_no_page_may_call_unless_the_operator_says_so(tmp_path, origins, status):
    (answer,) = answers(tmp_path, preflight(SHOP), origins=origins)
    assert answer.status == status
    assert answer.headers.get("access-control-allow-origin") == (None if status == 400 else "*")


def test_nothing_else_is_served(tmp_path):
    paths = ["/", "/metrics", "/healthz", "/fedau2.v1.DeviceService", "/fedau2.v1.DeviceService/", CHECK_IN + "/"]
    paths += [method.path for method in ADMIN] + ["/grpc.health.v1.Health/Check", "/%2e%2e/x", "*"]
    calls = [call(path, kind=kind) for path in paths for kind in (UNARY, STREAM)]
    assert {answer.status for answer in answers(tmp_path, *calls)} == {404}


def test_a_call_is_a_post_of_protobuf(tmp_path):
    kinds = ["application/json", "application/grpc", "application/grpc-web+proto", "text/plain", "", STREAM + "+gzip"]
    calls = [call(CHECK_IN, kind=kind) for kind in kinds]
    calls += [call(method.path, method=verb) for verb in ("GET", "PUT", "HEAD", "DELETE") for method in DEVICE]
    statuses = [answer.status for answer in answers(tmp_path, *calls)]
    assert (set(statuses[: len(kinds)]), set(statuses[len(kinds) :])) == ({415}, {405})


def test_headers_beyond_ascii_are_refused(tmp_path):
    (answer,) = answers(tmp_path, call(CHECK_IN, X_Name="ü".encode("latin-1")))
    assert (answer.status, answer.body) == (400, b"headers are ASCII\n")


def code(answer):
    """The code of a refusal, whether it answers one request or ends a stream; None: it is no refusal of a call."""
    if answer.headers.get("content-type") == STREAM:
        return opened(answer.body)[1].get("error", {}).get("code")
    return json.loads(answer.body)["code"]


def test_a_request_has_a_limit_and_is_not_compressed(tmp_path):
    large, part = bytes(LARGEST + 1), "/fedau2.v1.DeviceService/UploadPart"
    calls = [
        call(part, large),
        call("/fedau2.v1.DeviceService/FetchResource", enveloped([large]), STREAM),
        call(part, gzip.compress(bytes(2**20)), Content_Encoding="gzip"),
    ]
    codes = [code(answer) for answer in answers(tmp_path, *calls)]
    assert codes == ["resource_exhausted", "resource_exhausted", "unimplemented"]


FAULTS = {"invalid_argument", "not_found", "unimplemented", "resource_exhausted", "unavailable", "failed_precondition"}
"""Codes of what a caller did wrong. Unavailable is an upload without its bytes; the last one, an admission."""

hostile = st.tuples(st.sampled_from(list(DEVICE)), st.binary(max_size=80), st.booleans())


@settings(deadline=None, max_examples=5)
@given(st.lists(hostile, min_size=20, max_size=20))
def test_whatever_is_sent_is_refused_as_the_callers_fault(bodies):
    calls = []
    for method, body, framed in bodies:
        stream = method.takes_stream or method.gives_stream
        calls.append(call(method.path, enveloped([body]) if framed and stream else body, STREAM if stream else UNARY))
    with tempfile.TemporaryDirectory() as folder:
        for (args, _), answer in zip(calls, answers(Path(folder), *calls), strict=True):
            if answer.status != 200 or answer.headers["content-type"] == STREAM:
                assert code(answer) in FAULTS, args
            else:
                assert args[0].endswith(("UploadOffset", "CheckIn"))


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000],
        [b"POST " + b"/" * 100_000],
        [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"],
        [CHUNKED + b"zz\r\n"],
        [CHUNKED + b"5\r\nhello\r\n", b"zz\r\n"],  # after the answer
        [b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + b"?"],
        [b"\r\n" * 50_000],
    ],
    ids=lambda pieces: ascii(pieces[0][:20]),
)
def test_what_is_no_http_ends_the_connection_and_nothing_else(tmp_path, pieces):
    async def run():
        async with open_web(tmp_path) as lab:

            def send():
                with socket.create_connection(addresses.served(lab.web.address), timeout=60) as connection:
                    try:
                        for piece in pieces[:-1]:
                            connection.sendall(piece)
                            assert connection.recv(65536)
                        connection.sendall(pieces[-1] + b"\r\n\r\n")
                        while connection.recv(65536):
                            pass
                    except ConnectionError:
                        pass

            await asyncio.to_thread(send)
            assert (await lab.link.post(CHECK_IN)).status == 400

    asyncio.run(run())


def test_one_connection_takes_calls_one_after_another(tmp_path):
    async def run():
        async with open_web(tmp_path) as lab:
            connection = lab.link.connection()

            def many():
                body = device_pb2.CheckInRequest(population="movies").SerializeToString()
                statuses = [request(connection, CHECK_IN, body).status for _ in range(5)]
                statuses.append(request(connection, "/nowhere").status)
                return [*statuses, request(connection, CHECK_IN, body).status]

            try:
                assert await asyncio.to_thread(many) == [200] * 5 + [404, 200]
            finally:
                connection.close()

    asyncio.run(run())
