"""Metadata and certificates of a device, shown to a coordinator over gRPC and to nobody else."""

import asyncio
import logging
import threading
import traceback

import grpc
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import AsyncFedClient, Credentials, FedClient, Result, SyncFailed
from client_sdk.errors import CredentialsError, TransportError, UsageError
from client_sdk.transport.credentials import MOST, Caller
from fedau2.v1.device_pb2 import FailureReason
from tests import certificates
from tests.client_sdk.conftest import Servicer

SECRET = "c2VjcmV0LXRva2Vu"
CALLS = {"check_in", "fetch", "upload"}
SERVER = certificates.make()
AUTHORITY = certificates.make()
DEVICE = certificates.make(authority=AUTHORITY, names=[], purpose=ExtendedKeyUsageOID.CLIENT_AUTH)


class Watching(Servicer):
    """A scripted coordinator that keeps the metadata of each call."""

    def __init__(self, remote):
        super().__init__(remote)
        self.shown = []

    def _run(self, context, call):
        self.shown.append({name: value for name, value in context.invocation_metadata() if name != "user-agent"})
        return super()._run(context, call)


class Token:
    """An app's function for metadata, which fails at the calls that it is told."""

    def __init__(self, *failing):
        self.failing, self.threads = failing, []

    def __call__(self):
        self.threads.append(threading.get_ident())
        if len(self.threads) in self.failing:
            raise OSError(SECRET)
        return [("authorization", f"Bearer {SECRET}{len(self.threads)}"), ("trace-bin", b"\0\xff")]


@pytest.fixture
def servicer(remote):
    return Watching(remote)


def blocking(folder, address, function, **options):
    with FedClient.open(folder, address, "films", credentials=Credentials(function), **options) as client:
        client.record("film-1")
        return client.sync()


def on_asyncio(folder, address, function, **options):
    async def main():
        client = await AsyncFedClient.open(folder, address, "films", credentials=Credentials(function), **options)
        async with client:
            await client.record("film-1")
            return await client.sync()

    return asyncio.run(main())


def by_coroutine(folder, address, function, **options):
    async def awaited():
        return await asyncio.sleep(0, function())

    return on_asyncio(folder, address, awaited, **options)


@pytest.fixture(params=[blocking, on_asyncio, by_coroutine])
def sync(request, tmp_path, address):
    """Records and syncs once, with an app's function for metadata."""
    return lambda function: request.param(tmp_path / "state", address, function)


def test_every_call_of_a_sync_shows_what_the_app_says_then(sync, servicer, remote):
    token = Token()
    assert sync(token).result == Result.UPLOADED
    assert {name for name, _ in remote.calls} == CALLS
    expected = [
        {"authorization": f"Bearer {SECRET}{number}", "trace-bin": b"\0\xff"}
        for number in range(1, len(servicer.shown) + 1)
    ]
    assert servicer.shown == expected
    assert len(token.threads) == len(expected)


def test_a_function_is_called_on_the_thread_of_the_sync_and_never_on_a_loop(tmp_path, address):
    here, token = threading.get_ident(), Token()
    blocking(tmp_path / "one", address, token)
    assert set(token.threads) == {here}
    token = Token()
    on_asyncio(tmp_path / "two", address, token)
    assert here not in token.threads


def test_an_exception_of_the_app_ends_the_sync_and_gives_the_place_back(sync, servicer, remote, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(CredentialsError, match="metadata raised OSError") as raised:
        sync(Token(3))
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert "OSError in test_credentials.py, line " in str(raised.value)
    assert SECRET not in caplog.text
    assert remote.calls[-1][0] == "report_failure"
    assert remote.calls[-1][1].reason == FailureReason.FAILURE_REASON_INTERRUPTED
    assert servicer.shown[-1]["authorization"].endswith("2")  # of the last call before


def test_a_sync_that_cannot_begin_calls_nobody(sync, servicer):
    with pytest.raises(CredentialsError):
        sync(Token(1))
    assert servicer.shown == []


def test_a_contribution_that_could_not_be_sent_is_sent_later(tmp_path, address, remote):
    folder, token = tmp_path / "state", Token()
    blocking(tmp_path / "other", address, token)
    calls = len(token.threads)
    with pytest.raises(CredentialsError):
        blocking(folder, address, Token(calls))  # the last call is the upload
    assert remote.calls[-1][0] != "report_failure"
    with FedClient.open(folder, address, "films") as client:
        assert client.sync().result == Result.UPLOADED


def test_a_failure_is_told_to_subscribers_without_the_token(tmp_path, address):
    events = []
    with FedClient.open(tmp_path / "state", address, "films", credentials=Credentials(Token(2))) as client:
        client.record("film-1")
        client.events.subscribe(events.append)
        with pytest.raises(CredentialsError):
            client.sync()
    failed = next(event for event in events if isinstance(event, SyncFailed))
    assert "OSError" in failed.text
    assert SECRET not in repr(failed)


def test_only_an_asyncio_client_awaits(tmp_path, address):
    async def function():
        return []

    with pytest.raises(CredentialsError, match="only an AsyncFedClient"):
        blocking(tmp_path / "state", address, function)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "pairs"),
        (5, "pairs"),
        ({"authorization": "x"}, "pairs"),
        ([("authorization",)], "pairs"),
        ([("Authorization", "x")], "lower-case"),
        ([("", "x")], "lower-case"),
        ([(b"authorization", "x")], "lower-case"),
        ([("grpc-timeout", "x")], "reserved"),
        ([("fedau2-retry-window-bin", b"x")], "reserved"),
        ([("user-agent", "x")], "reserved"),
        ([("authorization", b"x")], "ASCII"),
        ([("authorization", SECRET + "\n")], "ASCII"),
        ([("authorization", SECRET + "é")], "ASCII"),
        ([("trace-bin", "x")], "bytes"),
        ([("authorization", "x" * MOST)], f"at most {MOST}"),
        ([("a", "")] * 200, f"at most {MOST}"),
    ],
)
def test_metadata_that_cannot_be_sent_is_refused_and_not_quoted(given, message):
    with pytest.raises(CredentialsError, match=message) as raised:
        Caller(lambda: given).pairs()
    assert SECRET not in str(raised.value)


NAMES = st.from_regex(r"x-[0-9a-z_.-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=99)
PAIRS = st.tuples(NAMES.filter(lambda name: not name.endswith("-bin")), TEXTS) | st.tuples(
    NAMES.map(lambda name: f"{name}-bin"), st.binary(max_size=99)
)


@given(st.lists(PAIRS, max_size=9))
def test_all_other_metadata_passes(pairs):
    assert Caller(lambda: iter(pairs)).pairs() == tuple(pairs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metadata": "token"}, "metadata must be a function"),
        ({"certificate": DEVICE[1]}, "go together"),
        ({"key": DEVICE[0]}, "go together"),
        ({"certificate": "device.pem", "key": "key.pem"}, "go together"),
        ({"certificate": SERVER[1], "key": DEVICE[0]}, "its key is the key of another certificate than the client"),
        ({"certificate": b"", "key": DEVICE[0]}, "no certificate in PEM"),
        ({"certificate": DEVICE[1], "key": b""}, "no private key in PEM"),
    ],
)
def test_credentials_that_cannot_be_meant_are_told(options, message):
    with pytest.raises(UsageError, match=message):
        Credentials(**options)


def test_credentials_are_not_printed():
    assert repr(Credentials(Token(), DEVICE[1], DEVICE[0])) == "Credentials()"


@pytest.mark.parametrize(
    ("coordinator", "credentials", "message"),
    [
        ("fed.example.com:1", Credentials(Token()), "everybody could read the metadata"),
        ("localhost.example.com:1", Credentials(Token()), "everybody could read the metadata"),
        ("fed.example.com:1", Credentials(certificate=DEVICE[1], key=DEVICE[0]), "no certificate is shown"),
        ("127.0.0.1:1", Credentials(certificate=DEVICE[1], key=DEVICE[0]), "no certificate is shown"),
        ("127.0.0.1:1", "token", "credentials must be Credentials"),
    ],
)
def test_nothing_is_shown_in_plaintext_to_another_machine(tmp_path, coordinator, credentials, message):
    with pytest.raises(UsageError, match=message):
        FedClient.open(tmp_path / "state", coordinator, "films", insecure=True, credentials=credentials)
    assert not (tmp_path / "state").exists()


def test_metadata_is_shown_over_tls(tmp_path, serve, servicer):
    address = serve(servicer, credentials=grpc.ssl_server_credentials([SERVER]))
    assert blocking(tmp_path / "state", address, Token(), root_certificates=SERVER[1]).result == Result.UPLOADED
    assert servicer.shown[0]["authorization"] == f"Bearer {SECRET}1"


@pytest.fixture
def mutual(serve, servicer):
    """The address of a coordinator that requires certificates of the authority."""
    return serve(servicer, credentials=grpc.ssl_server_credentials([SERVER], AUTHORITY[1], require_client_auth=True))


def check_in(folder, address, pair):
    credentials = Credentials() if pair is None else Credentials(certificate=pair[1], key=pair[0])
    with FedClient.open(folder, address, "films", root_certificates=SERVER[1], credentials=credentials) as client:
        client.record("film-1")
        return client.sync()


def test_a_coordinator_that_asks_is_shown_a_certificate(tmp_path, mutual):
    assert check_in(tmp_path / "state", mutual, DEVICE).result == Result.UPLOADED


@pytest.mark.parametrize("pair", [None, certificates.make()])
def test_a_device_that_is_not_let_in_is_told_what_may_be_missing(tmp_path, mutual, remote, pair):
    with pytest.raises(TransportError, match="if it asks devices for certificates, give one in credentials"):
        check_in(tmp_path / "state", mutual, pair)
    assert remote.calls == []


@pytest.mark.parametrize(("since", "until", "message"), [(-2, -1, "expired on"), (1, 2, "is not valid before")])
def test_a_certificate_that_is_not_valid_now_ends_a_sync_and_no_other_call(
    tmp_path, mutual, remote, since, until, message
):
    key, certificate = certificates.make(since, until, authority=AUTHORITY)
    credentials = Credentials(certificate=certificate, key=key)
    with FedClient.open(tmp_path / "s", mutual, "films", credentials=credentials) as client:
        client.record("film-1")
        with pytest.raises(CredentialsError, match=f"the client certificate {message}"):
            client.sync()
        assert client.status().recorded == 1
    assert remote.calls == []


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_a_proxy_that_turns_a_device_away_is_told_from_a_coordinator(sync, servicer, monkeypatch, code):
    monkeypatch.setattr(servicer, "_run", lambda context, call: context.abort(code, "the token has expired"))
    with pytest.raises(CredentialsError, match=f"turned this device away .{code.name}.: the token has expired"):
        sync(Token())
