"""A client that was opened with evidence enrols at a real unmasker, in the sync that needs it."""

import asyncio
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client_sdk import AsyncFedClient, FedClient, RefusedError, Rejected, Result, SyncFailed, Unmasker, UsageError
from fedau2.v1.device_pb2 import REJECTION_REASON_ENROLMENT_NEEDED, CheckInResponse, Rejection
from tests.client_sdk.secure import Signing, secure
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Clock
from tests.unmasker.engine.test_enrolment import invite
from tests.unmasker.served import served
from unmasker import Books, StateFolder
from unmasker import Unmasker as Served


@pytest.fixture(scope="module")
def unmasker(tmp_path_factory):
    folder = StateFolder(tmp_path_factory.mktemp("unmasker") / "state")
    with closing(Served(Books.make(folder, None, Clock()), RULES)) as made:
        yield made


@pytest.fixture(scope="module")
def known(unmasker):
    key = unmasker.books.keys.identity.public_key()
    with served(unmasker) as servers:
        yield [Unmasker(servers.devices, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))]


@pytest.fixture
def choosy(remote, bundle, unmasker, window, monkeypatch):
    """A coordinator that turns devices away which are not enrolled, on the unmasker's clock."""
    monkeypatch.setattr("time.time", unmasker.books.clock)
    signing = Signing(unmasker.books.keys.identity)
    remote.bundle = secure(bundle, signing)
    remote.assignment = signing.assignment(remote.bundle)
    answer = remote.check_in

    def check_in(request):
        if request.enrolled:
            return answer(request)
        rejection = Rejection(reason=REJECTION_REASON_ENROLMENT_NEEDED, retry=window)
        return remote._answer("check_in", request, CheckInResponse(rejection=rejection))

    remote.check_in = check_in
    return remote


def test_a_sync_enrols_and_contributes(tmp_path, address, choosy, known, unmasker):
    invitation = invite(unmasker)
    options = {"unmaskers": known, "enrolment": ("invitation", lambda: invitation)}
    with FedClient.open(tmp_path / "state", address, "films", **options) as client:
        client.record("film-1")
        assert client.sync().result is Result.UPLOADED
        assert client.status().upload_waiting is False
        (departure,) = client.privacy.report().departures
        assert departure.masked
    assert choosy.names().count("check_in") == 2


def test_a_client_for_asyncio_awaits_the_evidence(tmp_path, address, choosy, known, unmasker):
    invitation = invite(unmasker)

    async def code():
        return invitation

    async def main():
        options = {"unmaskers": known, "enrolment": ("invitation", code)}
        async with await AsyncFedClient.open(tmp_path / "state", address, "films", **options) as client:
            await client.record("film-1")
            return await client.sync()

    assert asyncio.run(main()).result is Result.UPLOADED


def test_a_refusal_of_the_evidence_ends_the_sync_loses_nothing_and_waits(tmp_path, address, choosy, known):
    options = {"unmaskers": known, "enrolment": ("invitation", "secret-code")}
    with FedClient.open(tmp_path / "state", address, "films", **options) as client:
        client.record("film-1")
        events = []
        client.events.subscribe(events.append)
        for failures in (1, 2):
            with pytest.raises(RefusedError) as raised:
                client.sync()
            assert client._core.syncs.pace.failures == failures
        assert client.status().recorded == 1
    assert raised.value.retry is not None
    assert [type(event) for event in events] == [Rejected, SyncFailed] * 2
    assert "secret-code" not in f"{events!r} {raised.value}"


def test_without_evidence_the_event_says_what_to_call(tmp_path, address, choosy, known):
    with FedClient.open(tmp_path / "state", address, "films", unmaskers=known) as client:
        client.record("film-1")
        events = []
        client.events.subscribe(events.append)
        assert client.sync().reason == "REJECTION_REASON_ENROLMENT_NEEDED"
        ((event),) = events
        assert (event.code, "enrol()" in event.advice) == ("enrolment_needed", True)
        client.enrol()
        assert client.sync().result is Result.UPLOADED


@pytest.mark.parametrize("wrong", ["token", ("token",), ("attestation", b""), ("token", b"", b"")])
def test_evidence_that_cannot_be_meant_is_refused_when_the_client_is_opened(tmp_path, known, wrong):
    with pytest.raises(UsageError, match=r"enrolment|kind"):
        FedClient.open(tmp_path / "state", "localhost:1", "films", unmaskers=known, enrolment=wrong)
    with pytest.raises(UsageError, match="unmaskers"):
        FedClient.open(tmp_path / "state", "localhost:1", "films", enrolment=("open", b""))
    FedClient.open(tmp_path / "state", "localhost:1", "films", unmaskers=known).close()
