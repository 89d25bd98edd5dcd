import json
from contextlib import closing
from datetime import UTC, datetime

import pytest

from client_sdk import FedClient, Result
from client_sdk.sqlite_store import SqliteStore
from fedau2.v1.device_pb2 import UploadHeader
from fedau2.wire.status import Status, StatusError


@pytest.fixture
def client(tmp_path, address):
    with FedClient.open(tmp_path / "state", address, "films") as opened:
        yield opened


@pytest.fixture
def trained(client):
    """A client that has contributed once with an attribute."""
    client.record_many(["film-1", "film-4"], [datetime(2026, 1, day, tzinfo=UTC) for day in (2, 1)])
    client.set_attribute("gender", "F")
    assert client.sync().result == Result.UPLOADED
    return client


def bytes_of(folder):
    return b"".join(path.read_bytes() for path in folder.glob("state.db*"))


def lose_the_answer(client, remote):
    """One more contribution, whose upload is not answered."""
    remote.assignment = remote.bundle.assignment(number=1, round_number=1)
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "gone")
    with pytest.raises(Exception, match="gone"):
        client.sync()
    remote.refusals.clear()


def test_a_report_says_what_left_and_what_it_tells(client):
    assert client.privacy.report().departures == ()
    assert "No contribution has left it" in str(client.privacy.report())


def test_a_contribution_with_an_attribute_exposes_it(trained, remote):
    report = trained.privacy.report()
    assert (report.interactions, report.attributes) == (2, ("gender",))
    (departure,) = report.departures
    header: UploadHeader = remote.calls[-1][1][0]
    assert (departure.task_id, departure.round, departure.outcome) == ("task", 0, "counted")
    assert departure.size == header.size
    assert report.exposed == {"gender": 1}
    assert "1 of them were trained against gender" in str(report)


def test_without_the_attribute_it_exposes_none_and_a_refused_one_does_not_count(client, remote):
    client.record("film-1")
    client.sync()
    assert client.privacy.report().exposed == {}
    client.set_attribute("gender", "M")
    remote.assignment = remote.bundle.assignment(number=1, round_number=1)
    remote.refusals["upload"] = StatusError(Status.ABORTED, "full")
    assert client.sync().result == Result.REFUSED
    assert [each.outcome for each in client.privacy.report().departures] == ["refused", "counted"]
    assert client.privacy.report().exposed == {}


def test_everything_about_the_user_can_be_exported(trained, remote):
    lose_the_answer(trained, remote)
    exported = json.loads(json.dumps(trained.privacy.export_data()))
    assert exported["interactions"] == [
        {"item": "film-4", "time": "2026-01-01T00:00:00+00:00"},
        {"item": "film-1", "time": "2026-01-02T00:00:00+00:00"},
    ]
    assert exported["attributes"] == {"gender": "F"}
    assert {name: len(value) for name, value in exported["vectors"]["task"].items()} == {"user_gmf": 4, "user_mlp": 6}
    assert [each["outcome"] for each in exported["contributions"]] == ["unanswered", "counted"]
    assert exported["unanswered"] > 0


def test_a_forgotten_attribute_takes_what_was_trained_with_it_along(trained, remote, tmp_path):
    lose_the_answer(trained, remote)
    trained.privacy.forget_attribute("gender")
    exported = trained.privacy.export_data()
    assert (exported["attributes"], exported["vectors"], exported["unanswered"]) == ({}, {}, 0)
    assert len(exported["interactions"]) == 2
    assert [each["outcome"] for each in exported["contributions"]] == ["withdrawn", "counted"]
    # The withdrawn one may have been counted: its round is not contributed to again.
    outcome = trained.sync()
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "FAILURE_REASON_TOO_SOON")
    remote.assignment = remote.bundle.assignment(number=2, round_number=2)
    assert trained.sync().result == Result.UPLOADED
    assert trained.privacy.report().departures[0].attributes == ()


def test_to_forget_what_is_not_known_changes_nothing(trained):
    before = trained.privacy.export_data()
    trained.privacy.forget_attribute("age")
    assert trained.privacy.export_data() == before


def test_deleted_data_are_in_no_file_any_more(trained, remote, tmp_path):
    lose_the_answer(trained, remote)
    with closing(SqliteStore(tmp_path / "other")) as store:
        fresh = store.key()
    key, model = trained._store.key(), trained.recommend(12)
    assert key in bytes_of(tmp_path / "state")
    assert b"film-4" in bytes_of(tmp_path / "state")
    trained.privacy.delete_data()
    left = bytes_of(tmp_path / "state")
    for secret in (key, b"film-4", b"gender"):
        assert secret not in left
    assert trained._store.key() not in (key, fresh)
    assert trained.privacy.report() == client_as_new(tmp_path)
    assert sorted(each.item for each in trained.recommend(12)) != sorted(each.item for each in model)


def client_as_new(tmp_path):
    with FedClient.open(tmp_path / "new", "127.0.0.1:1", "films") as client:
        return client.privacy.report()


def test_after_deleting_no_round_counts_the_device_twice(trained, remote):
    trained.privacy.delete_data()
    trained.record("film-2")
    assert trained.sync().reason == "FAILURE_REASON_TOO_SOON"
    remote.assignment = remote.bundle.assignment(number=1, round_number=1)
    assert trained.sync().result == Result.UPLOADED
