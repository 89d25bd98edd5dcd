"""An app that requires secure sums contributes to no plain task, and says so by a code."""

import subprocess
import sys
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client_sdk import (
    FedClient,
    MissingFeatureError,
    PlainTaskError,
    SumFloors,
    TransportError,
    Unmasker,
    UntrustedUnmaskerError,
    UsageError,
)
from client_sdk.events import TaskRefused
from client_sdk.protocol.trust import Trust
from fedau2.v1.device_pb2 import FailureReason
from fedau2.wire.secure.policy import FEATURE
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.client.test_transfers import turn_away
from tests.client_sdk.protocol.test_trust import PUBLIC, signed
from tests.client_sdk.secure import Signing, secure

SIGNING = Signing()
UNMASKER = Unmasker(
    "unmasker.example.org:443",
    SIGNING.identity_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
)
STRICT = {"publishers": [PUBLIC], "unmaskers": [UNMASKER], "require_secure_sums": True}


@pytest.fixture
def opened(remote, address, tmp_path):
    """A client of a coordinator that serves a bundle."""

    def start(bundle, **options):
        remote.bundle, remote.assignment = bundle, bundle.assignment()
        client = FedClient.open(tmp_path / "state", address, "films", **options)
        client.record_many(["film-1", "film-4"])
        return closing(client)

    return start


def test_a_plain_task_is_refused_and_the_place_given_back(opened, bundle, remote):
    with opened(signed(bundle), **STRICT) as client:
        events = []
        client.events.subscribe(events.append)
        with pytest.raises(PlainTaskError):
            client.sync()
        assert client._store.staged() is None
    assert [event.code for event in events if isinstance(event, TaskRefused)] == ["plain_task"]
    (given_back,) = [request for name, request in remote.calls if name == "report_failure"]
    assert given_back.reason == FailureReason.FAILURE_REASON_UNSUPPORTED
    assert "upload" not in remote.names()


def test_a_new_device_gets_the_model_of_a_plain_task_and_asks_for_no_further_place(opened, bundle, remote):
    with opened(signed(bundle), **STRICT) as client:
        for _ in range(3):
            with pytest.raises(PlainTaskError):
                client.sync()
            assert client.recommend(3)
    check_ins = [request.without_place for name, request in remote.calls if name == "check_in"]
    assert check_ins == [False, True, True]
    assert remote.names().count("report_failure") == 1


@pytest.mark.parametrize("waiting", [False, True])
def test_a_device_that_has_a_model_gets_newer_ones_without_a_place(opened, bundle, remote, window, waiting):
    plain = signed(bundle)
    with opened(plain, publishers=[PUBLIC]) as client:
        if waiting:
            remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "gone")
        with suppress(TransportError):
            client.sync()
    remote.calls.clear()
    with opened(plain, **STRICT, max_model_age=timedelta(microseconds=1)) as client:
        turn_away(remote, plain.with_checkpoint(seed=9), window)
        assert client.sync().refreshed
        assert client.status().model.round == 1
    (check_in,) = [request for name, request in remote.calls if name == "check_in"]
    assert check_in.without_place
    assert {"upload", "report_failure"}.isdisjoint(remote.names())


def test_the_coordinator_cannot_say_that_a_plain_task_is_another(opened, bundle, remote):
    """The feature is in the manifest, which a publisher has signed."""
    claimed = signed(bundle)
    claimed.manifest.required_features.append(FEATURE)
    with opened(claimed.with_manifest(), **STRICT) as client, pytest.raises(Exception, match="signature"):
        client.sync()
    assert "upload" not in remote.names()


@pytest.mark.parametrize(("options", "text"), [({}, "name the unmaskers"), ({"unmaskers": [UNMASKER]}, "pip install")])
def test_a_device_that_cannot_mask_says_what_to_do_and_takes_no_second_place(
    opened, bundle, remote, monkeypatch, options, text
):
    if options:
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hpke", None)
    with opened(secure(bundle, SIGNING), **options) as client:
        for _ in range(2):
            with pytest.raises(MissingFeatureError, match=text) as raised:
                client.sync()
            assert raised.value.features == (FEATURE,)
        assert client._store.staged() is None
    assert "upload" not in remote.names()


def test_a_task_whose_sums_are_weaker_than_the_floors_is_refused_as_a_plain_one(opened, bundle, remote):
    strict = STRICT | {"require_secure_sums": SumFloors(minimum=500)}
    with opened(signed(secure(bundle, SIGNING)), **strict) as client, pytest.raises(PlainTaskError, match="500"):
        client.sync()
    assert "upload" not in remote.names()


def test_a_plain_contribution_that_waits_is_not_sent_any_more(opened, bundle, remote):
    with opened(signed(bundle), publishers=[PUBLIC]) as client:
        remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "gone")
        with pytest.raises(TransportError):
            client.sync()
        assert client._store.staged() is not None
    before = remote.names().count("upload")
    with opened(signed(bundle), **STRICT) as client:
        with pytest.raises(PlainTaskError):
            client.sync()
        assert client._store.staged() is None
    assert remote.names().count("upload") == before


@pytest.mark.parametrize("missing", ["publishers", "unmaskers"])
def test_to_require_them_of_nobody_in_particular_is_refused(tmp_path, missing):
    options = {name: value for name, value in STRICT.items() if name != missing}
    with pytest.raises(UsageError, match="publishers and unmaskers"):
        FedClient.open(tmp_path / "state", "localhost:1", "films", **options)


def test_the_model_of_a_plain_task_may_still_be_recommended_from(opened, bundle, remote):
    with opened(signed(bundle), publishers=[PUBLIC]) as client:
        client.sync()
    with opened(signed(bundle), **STRICT) as client:
        assert client.recommend(3)


def test_sums_that_a_stranger_opens_are_not_contributed_to(bundle):
    known = Trust([PUBLIC], [UNMASKER.identity], True)
    known.expect_secure(secure(bundle, SIGNING).manifest)
    for strangers in ([], [Signing()]):
        with pytest.raises(UntrustedUnmaskerError):
            known.expect_secure(secure(bundle, *strangers).manifest)
    Trust().expect_secure(bundle.manifest)


def test_without_the_extra_plain_tasks_work_and_secure_ones_say_what_to_install(opened, bundle, remote, tmp_path):
    """Both in a process that has no `cryptography`."""
    with opened(bundle) as client:
        client.sync()
        address = client._core.address.coordinator
    remote.bundle, remote.assignment = bundle, bundle.assignment(1, 1)
    code = """
import sys
sys.modules["cryptography"] = None
from client_sdk import FedClient, MissingFeatureError
with FedClient.open(sys.argv[1], sys.argv[2], "films") as client:
    client.record("film-1")
    try:
        print(client.sync().result.value)
    except MissingFeatureError as error:
        print(error)
"""

    def sync(folder):
        command = [sys.executable, "-c", code, str(tmp_path / folder), address]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    assert sync("state") == "uploaded"
    remote.bundle = secure(bundle, SIGNING)
    remote.assignment = SIGNING.assignment(remote.bundle)
    assert "pip install 'fedau2[secure]'" in sync("new")
    assert remote.names().count("upload") == 2
