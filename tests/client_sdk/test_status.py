from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta

import pytest

from client_sdk import FedClient, Result
from client_sdk.errors import NoDataError, RefusedError, TransportError
from client_sdk.scheduling.schedule import BackgroundStatus
from client_sdk.status import ClientStatus, ModelVersion
from fedau2.wire.status import Status, StatusError


@pytest.fixture
def reopen(tmp_path, address):
    """Opens the same client again and again, as an app that is restarted does."""
    opened = []

    def make():
        if opened:
            opened[-1].close()
        opened.append(FedClient.open(tmp_path / "state", address, "films"))
        return opened[-1]

    yield make
    opened[-1].close()


@pytest.fixture
def client(reopen):
    return reopen()


def test_a_new_client_has_nothing(client):
    status = client.status()
    assert status == ClientStatus(None, 0, None, (), False, None, None, BackgroundStatus(False, False, (), None))
    with pytest.raises(FrozenInstanceError):
        status.recorded = 1


def test_a_status_counts_interactions_and_names_attributes_without_their_values(client):
    for item in ("film-1", "film-2", "film-1"):
        client.record(item)
    client.set_attribute("gender", "F")
    client.set_attribute("age", "old")
    status = client.status()
    assert (status.recorded, status.attributes) == (3, ("age", "gender"))
    assert not any(private in repr(status) for private in ("film-1", "'F'", "old"))


def test_after_a_sync_model_time_and_window_are_known_also_after_a_restart(client, reopen):
    client.record("film-1")
    before = datetime.now(UTC)
    client.sync()
    status = client.status()
    assert status.model == ModelVersion("task", 0)
    assert status.last_sync.result is Result.UPLOADED
    assert before <= status.last_sync.time <= datetime.now(UTC)
    assert status.next_check_in.earliest == status.last_sync.time + timedelta(seconds=5)
    assert status.next_check_in.latest == status.last_sync.time + timedelta(seconds=9)
    assert not status.upload_waiting
    assert reopen().status() == status


def test_an_upload_that_was_not_answered_waits(client, remote):
    client.record("film-1")
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "going down")
    with pytest.raises(TransportError):
        client.sync()
    status = client.status()
    assert status.upload_waiting
    assert (status.last_sync.result, status.last_sync.error) == (None, "TransportError")
    assert status.next_check_in is None


def test_errors_are_remembered_by_name(client, remote, window, reopen):
    with pytest.raises(NoDataError):
        client.sync()
    assert client.status().last_sync.error == "NoDataError"
    client.record("film-1")
    remote.refusals["check_in"] = StatusError(Status.INVALID_ARGUMENT, "no", window)
    with pytest.raises(RefusedError):
        client.sync()
    assert client.status().last_sync.error == "RefusedError"
    assert client.status().next_check_in is not None
    remembered = client.status()
    assert reopen().status() == remembered


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}x", '{"unheard": 1}', '{"due": "soon"}', '{"last": 1e300}', '{"result": "odd"}', '{"due": NaN}'],
)
def test_a_damaged_pace_is_forgotten(client, reopen, tmp_path, text):
    client.record("film-1")
    client.sync()
    (tmp_path / "state/pace.json").write_text(text)
    assert reopen().status().last_sync is None


def test_a_sync_counts_even_if_its_time_cannot_be_kept(client, tmp_path, caplog):
    (tmp_path / "state/pace.json.tmp").mkdir()
    client.record("film-1")
    assert client.sync().result is Result.UPLOADED
    assert client.status().last_sync.result is Result.UPLOADED
    assert "was not kept" in caplog.text
