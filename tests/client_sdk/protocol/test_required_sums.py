"""An app that requires secure sums contributes to no plain task, and says so by a code."""

from contextlib import closing, suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client_sdk import FedClient, MissingFeatureError, PlainTaskError, TransportError, Unmasker, UsageError
from client_sdk.events import TaskRefused
from client_sdk.protocol.trust import Trust
from fedau2.v1.device_pb2 import FailureReason
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.secure.policy import FEATURE
from fedau2.wire.status import Status, StatusError
from tests.client_sdk.client.test_transfers import turn_away
from tests.client_sdk.protocol.test_trust import PUBLIC, signed

UNMASKER = Unmasker(
    "unmasker.example.org:443",
    Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
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


def test_a_task_with_secure_sums_needs_a_newer_sdk(opened, bundle, remote):
    secure = signed(bundle.with_manifest(required_features=[FEATURE]))
    with opened(secure, **STRICT) as client, pytest.raises(MissingFeatureError) as raised:
        client.sync()
    assert raised.value.features == (FEATURE,)
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


def test_a_task_that_only_adds_integers_is_not_taken_for_one_that_masks_them():
    """Nothing is sent in the clear where secure sums are required, also by an SDK that knows half of the feature."""
    strict, task = Trust([PUBLIC], [UNMASKER.identity], True), TaskManifest(required_features=[FEATURE])
    with pytest.raises(MissingFeatureError, match="mask"):
        strict.expect_secure(task)
    with pytest.raises(PlainTaskError):
        strict.expect_secure(TaskManifest())
    for open_minded in (Trust(), Trust([PUBLIC], [UNMASKER.identity])):
        open_minded.expect_secure(task)
        open_minded.expect_secure(TaskManifest())
