"""A client enrols at a real unmasker, keeps its certificate, and believes nobody else."""

import asyncio
import shutil
import subprocess
import sys
from contextlib import closing, suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk import (
    AsyncFedClient,
    CredentialsError,
    FedClient,
    RefusedError,
    StatementKind,
    TransportError,
    Unmasker,
    UntrustedUnmaskerError,
    UsageError,
)
from client_sdk.identity import enrolling
from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_INVITATION, EVIDENCE_CLASS_OPEN
from fedau2.wire.status import Status
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Clock, Device
from tests.unmasker.engine.test_enrolment import invite
from tests.unmasker.served import served
from unmasker import Books, StateFolder
from unmasker import Unmasker as Served

DAY = 86400


def pem(unmasker):
    key = unmasker.books.keys.identity.public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def unmasker(tmp_path_factory):
    folder = StateFolder(tmp_path_factory.mktemp("unmasker") / "state")
    with closing(Served(Books.make(folder, None, Clock()), RULES)) as made:
        yield made


@pytest.fixture(scope="module")
def address(unmasker):
    with served(unmasker) as servers:
        yield servers.devices


@pytest.fixture(autouse=True)
def _clocks(unmasker, monkeypatch):
    """The device's clock is that of the unmasker, unless a test moves one of them."""
    unmasker.books.clock.now = 1_800_000_000.0
    monkeypatch.setattr("client_sdk.identity.enrolling.time.time", lambda: 1_800_000_000.0)


def opened(folder, address, unmasker, **options):
    known = [Unmasker(address, pem(unmasker))]
    return FedClient.open(folder, "localhost:1", "films", unmaskers=known, **options)


def test_a_client_is_enrolled_once_and_keeps_its_certificate(tmp_path, address, unmasker):
    asked = []

    def code():
        asked.append(None)
        return invitation.decode()

    invitation = invite(unmasker)
    with opened(tmp_path / "state", address, unmasker) as client:
        (first,) = client.enrol("invitation", code)
        assert client.enrol("invitation", code) == (first,)
    with opened(tmp_path / "state", address, unmasker) as client:
        assert client.enrol() == (first,), "an app that is opened again asks for nothing"
        assert client.privacy.export_data()["enrolments"] == [
            {"pseudonym": first.pseudonym, "expires": first.expires.isoformat()}
        ]
    assert len(asked) == 1
    assert first.unmasker == address
    assert (first.expires.timestamp() - 1_800_000_000) == 90 * DAY


@pytest.mark.parametrize("away", [False, True])
def test_the_report_says_that_an_unmasker_may_know_the_device(tmp_path, address, unmasker, away):
    def left():
        report = client.privacy.report()
        return report.enrolments, [each.code for each in report.statements if each.kind == StatementKind.LEAVES]

    with opened(tmp_path / "state", "127.0.0.1:1" if away else address, unmasker) as client:
        before = (0, ["nothing_left", "connections_seen"])
        assert left() == before
        with suppress(TransportError):
            client.enrol()
        assert left() == (1, ["nothing_left", "enrolment_left", "cannot_be_taken_back", "connections_seen"])
        assert "1 other server, an unmasker" in client.privacy.report().text("en")
        assert "1 anderer Server, ein Unmasker" in client.privacy.report().text("de")
        client.privacy.delete_data()
        assert left() == before


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(tmp_path, address, unmasker, monkeypatch):
    invitation = invite(unmasker)
    with opened(tmp_path / "state", address, unmasker) as client, monkeypatch.context() as patch:
        patch.setattr(enrolling, "_keep", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            client.enrol("invitation", invitation)
    with opened(tmp_path / "state", address, unmasker) as client:
        assert client.enrol("invitation", invitation)


def test_it_is_renewed_with_the_same_pseudonym(tmp_path, address, unmasker, monkeypatch):
    with opened(tmp_path / "state", address, unmasker) as client:
        (first,) = client.enrol()
        now = 1_800_000_000.0 + 45 * DAY
        unmasker.books.clock.now = now
        monkeypatch.setattr("client_sdk.identity.enrolling.time.time", lambda: now)
        (second,) = client.enrol()
    assert second.expires > first.expires
    assert second.pseudonym == first.pseudonym


def test_deleted_data_and_copies_of_a_folder_have_no_identity(tmp_path, address, unmasker):
    with opened(tmp_path / "state", address, unmasker) as client:
        (first,) = client.enrol()
        key = client._store.identities.key(Unmasker(address, pem(unmasker)).identity)
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    with opened(tmp_path / "copy", address, unmasker) as client:
        assert client.enrol()[0].pseudonym != first.pseudonym
    with opened(tmp_path / "state", address, unmasker) as client:
        assert client.enrol() == (first,)
        client.privacy.delete_data()
        assert client.privacy.export_data()["enrolments"] == []
        for path in (tmp_path / "state").rglob("*.db*"):
            assert key not in path.read_bytes()
            assert bytes.fromhex(first.pseudonym) not in path.read_bytes()
        assert client.enrol()[0].pseudonym != first.pseudonym


def test_a_client_for_asyncio_does_the_same(tmp_path, address, unmasker):
    async def main():
        known = [Unmasker(address, pem(unmasker))]
        async with await AsyncFedClient.open(tmp_path / "s", "localhost:1", "films", unmaskers=known) as client:
            return await client.enrol(), await client.enrol()

    first, second = asyncio.run(main())
    assert first == second


def test_only_a_client_for_asyncio_awaits_evidence(tmp_path, address, unmasker):
    invitation = invite(unmasker)
    awaited = []

    async def code():
        await asyncio.sleep(0)
        awaited.append(asyncio.get_running_loop())
        return invitation

    async def main():
        known = [Unmasker(address, pem(unmasker))]
        async with await AsyncFedClient.open(tmp_path / "s", "localhost:1", "films", unmaskers=known) as client:
            assert await client.enrol("invitation", code)
            assert awaited == [asyncio.get_running_loop()]

    with opened(tmp_path / "state", address, unmasker) as client, pytest.raises(UsageError, match="AsyncFedClient"):
        client.enrol("invitation", code)
    asyncio.run(main())


def test_what_the_unmasker_refuses_is_a_refusal(tmp_path, address, unmasker):
    with opened(tmp_path / "state", address, unmasker) as client:
        for kind, evidence in (("invitation", "WRONG"), ("token", "secret-token"), ("open", "something")):
            with pytest.raises(RefusedError) as raised:
                client.enrol(kind, evidence)
            assert raised.value.status == Status.FAILED_PRECONDITION
            assert evidence not in str(raised.value)
        assert client.privacy.export_data()["enrolments"] == []


def test_an_unmasker_with_another_key_is_not_believed_and_learns_nothing(tmp_path, address, unmasker):
    other = StateFolder(tmp_path / "other")
    with (
        closing(Served(Books.make(other, None, Clock()), RULES)) as stranger,
        opened(tmp_path / "state", address, stranger) as client,
        pytest.raises(RefusedError, match="another"),
    ):
        client.enrol()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.data())
def test_no_changed_answer_is_accepted(unmasker, data):
    keys = unmasker.books.keys.public
    request = Device().request(keys.identity)
    response = unmasker.enrol(request)
    assert enrolling.accept(response, request, keys.identity) == response.certificate
    place = data.draw(st.sampled_from(["certificate", "public_key", "signature"]))
    part = response if place == "certificate" else response.authority
    changed = bytearray(getattr(part, place))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    setattr(part, place, bytes(changed))
    with pytest.raises(UntrustedUnmaskerError):
        enrolling.accept(response, request, keys.identity)


def test_the_certificate_of_another_device_or_class_is_not_accepted(unmasker):
    identity = unmasker.books.keys.public.identity
    request, other = Device().request(identity), Device().request(identity)
    with pytest.raises(UntrustedUnmaskerError, match="something else"):
        enrolling.accept(unmasker.enrol(other), request, identity)
    response = unmasker.enrol(request)
    request.evidence_class = EVIDENCE_CLASS_INVITATION
    with pytest.raises(UntrustedUnmaskerError, match="something else"):
        enrolling.accept(response, request, identity)
    assert EVIDENCE_CLASS_OPEN != EVIDENCE_CLASS_INVITATION


def test_an_app_that_fails_to_give_evidence_is_named_without_its_text(tmp_path, address, unmasker):
    def fails():
        raise ValueError("secret")

    with opened(tmp_path / "state", address, unmasker) as client:
        with pytest.raises(CredentialsError, match="raised ValueError") as raised:
            client.enrol("token", fails)
        assert "secret" not in str(raised.value)
        for wrong in (None, 5, lambda: None, "x" * 8193):
            with pytest.raises(UsageError, match="evidence"):
                client.enrol("token", wrong)
        for kind in ("", "attestation", None):
            with pytest.raises(UsageError, match="kind"):
                client.enrol(kind)
        with pytest.raises(UsageError, match="timeout"):
            client.enrol(timeout=0)


def test_an_unmasker_that_is_away_is_a_transport_error(tmp_path, unmasker):
    with opened(tmp_path / "state", "127.0.0.1:1", unmasker) as client:
        with pytest.raises(TransportError) as raised:
            client.enrol()
        assert "coordinator" not in str(raised.value)
    with pytest.raises(UsageError) as wrong:
        Unmasker("http://x", pem(unmasker))
    assert "coordinator" not in str(wrong.value)


@pytest.mark.parametrize("first", [True, False])
def test_one_that_is_away_does_not_keep_the_client_from_the_others(tmp_path, address, unmasker, first):
    away = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    known = [Unmasker("127.0.0.1:1", away), Unmasker(address, pem(unmasker))][:: 1 if first else -1]
    with FedClient.open(tmp_path / "state", "localhost:1", "films", unmaskers=known) as client:
        for _ in range(2):
            with pytest.raises(TransportError):
                client.enrol()
            assert len(client.privacy.export_data()["enrolments"]) == 1


def test_unmaskers_that_cannot_be_meant_are_refused_when_the_client_is_opened(tmp_path, unmasker):
    right = Unmasker("unmasker.example.org:443", pem(unmasker))
    for wrong in ([b"key"], "unmasker.example.org:443", 5, [right, right]):
        with pytest.raises(UsageError, match="unmaskers"):
            FedClient.open(tmp_path / "state", "localhost:1", "films", unmaskers=wrong)
    for address, key in (("http://x", pem(unmasker)), ("x:1", b"secret"), (5, pem(unmasker)), ("x:1", None)):
        with pytest.raises(UsageError):
            Unmasker(address, key)
    client = FedClient.open(tmp_path / "state", "localhost:1", "films")
    with client, pytest.raises(UsageError, match="knows no unmasker"):
        client.enrol()


def test_without_the_extra_it_says_what_to_install(unmasker):
    code = f"""
import sys
sys.modules["cryptography"] = None
from client_sdk import MissingPackageError, Unmasker
try:
    Unmasker("x:1", {pem(unmasker)!r})
except MissingPackageError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'fedau2[secure]'" in result.stdout, result.stderr
