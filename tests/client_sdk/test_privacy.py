import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from client_sdk import ContributionDropped, FedClient, Result, Statement
from client_sdk.errors import StoreError, TransportError, UsageError
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.wishes import TooSlow
from client_sdk.store.sqlite_store import SqliteStore
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


def codes(client):
    return [statement.code for statement in client.privacy.report().statements]


def test_before_anything_left_a_report_says_what_taking_part_would_reveal(client):
    assert client.privacy.report().departures == ()
    assert codes(client) == [
        "items_kept",
        "nothing_left",
        "connections_seen",
        "training_would_reveal",
        *("no_name_sent", "transfers_not_encrypted", "publishers_not_checked"),
    ]


def test_a_report_says_what_left_and_what_it_tells(trained):
    assert codes(trained) == [
        *("items_kept", "attributes_kept", "profile_kept"),
        *("updates_left", "cannot_be_taken_back", "connections_seen"),
        *("items_revealed", "profile_revealed", "attribute_revealed"),
        *("no_name_sent", "transfers_not_encrypted", "publishers_not_checked", "unlearning"),
    ]


def test_a_contribution_with_an_attribute_exposes_it(trained, remote):
    report = trained.privacy.report()
    assert (report.interactions, report.attributes) == (2, ("gender",))
    (departure,) = report.departures
    header: UploadHeader = remote.calls[-1][1][0]
    assert (departure.task_id, departure.round, departure.outcome) == ("task", 0, "counted")
    assert departure.size == header.size
    assert report.exposed == {"gender": 1}
    assert Statement("attribute_revealed", {"name": "gender", "count": 1}) in report.statements
    assert "From 1 update: gender." in str(report) == report.text("en")
    assert "Aus 1 Beitrag: gender." in report.text("de")


def test_without_the_attribute_it_exposes_none(client):
    client.record("film-1")
    client.sync()
    assert client.privacy.report().exposed == {}


@pytest.mark.parametrize("status", [Status.ABORTED, Status.INVALID_ARGUMENT, Status.NOT_FOUND])
@pytest.mark.parametrize("broke_off", [False, True])
def test_a_refused_contribution_counts_because_its_bytes_may_have_arrived(client, remote, status, broke_off):
    client.record("film-1")
    client.set_attribute("gender", "M")
    if broke_off:
        remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "gone")
        with pytest.raises(TransportError):
            client.sync()
    remote.refusals["upload"] = StatusError(status, "no")
    assert client.sync().result == Result.REFUSED
    assert [departure.outcome for departure in client.privacy.report().departures] == ["refused"]
    assert client.privacy.report().exposed == {"gender": 1}


def test_a_contribution_of_which_no_byte_left_does_not_count(client, monkeypatch):
    def late(*arguments):
        raise TooSlow

    events = []
    client.events.subscribe(events.append)
    client.record("film-1")
    client.set_attribute("gender", "M")
    monkeypatch.setattr("client_sdk.protocol.contributing.upload", late)
    assert client.sync().result == Result.INTERRUPTED
    assert [departure.outcome for departure in client.privacy.report().departures] == ["unsent"]
    assert client.privacy.report().exposed == {}
    assert ContributionDropped("task", 0, "too_slow") in events


def test_everything_about_the_user_can_be_exported(trained, remote):
    lose_the_answer(trained, remote)
    exported = json.loads(json.dumps(trained.privacy.export_data()))
    view = {"kind": "view", "weight": 1.0, "value": None}
    assert exported["interactions"] == [
        {"item": "film-4", "time": "2026-01-01T00:00:00+00:00", **view},
        {"item": "film-1", "time": "2026-01-02T00:00:00+00:00", **view},
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


def test_an_attribute_can_be_forgotten_after_its_value(trained, remote):
    lose_the_answer(trained, remote)
    trained.set_attribute("gender", None)
    assert trained.privacy.export_data()["vectors"]
    trained.privacy.forget_attribute("gender")
    exported = trained.privacy.export_data()
    assert (exported["vectors"], exported["unanswered"]) == ({}, 0)
    uploads = remote.names().count("upload")
    trained.sync()
    assert remote.names().count("upload") == uploads


@pytest.mark.parametrize(
    "forget", [lambda c: c.privacy.forget_attribute("gender"), lambda c: c.set_attribute("gender", None)]
)
def test_a_forgotten_value_is_in_no_file(client, forget, tmp_path):
    client.set_attribute("gender", "secret-value")
    assert b"secret-value" in bytes_of(tmp_path / "state")
    forget(client)
    assert b"secret-value" not in bytes_of(tmp_path / "state")


@pytest.mark.parametrize("remove", [lambda p: p.delete_data(), lambda p: p.forget_attribute("gender")])
def test_what_removes_data_waits_for_a_sync(client, tmp_path, remove):
    reached, go, over = Event(), Event(), Event()

    class Held(TorchEngine):
        def begin(self, job):
            reached.set()
            assert go.wait(60)
            return super().begin(job)

    client._core.engine = Held()
    client.record("film-1")
    client.set_attribute("gender", "F")
    threads = [Thread(target=client.sync)]
    threads[0].start()
    assert reached.wait(60)
    threads.append(Thread(target=lambda: (remove(client.privacy), over.set())))
    threads[1].start()
    assert not over.wait(0.2)
    go.set()
    for thread in threads:
        thread.join()
    exported = client.privacy.export_data()
    assert (exported["vectors"], exported["attributes"]) == ({}, {})


def test_deleting_forgets_when_there_were_syncs(trained, tmp_path):
    assert (tmp_path / "state/pace.json").exists()
    trained.privacy.delete_data()
    assert not (tmp_path / "state/pace.json").exists()
    assert trained.status().last_sync is None


DIES = """
import os, signal, sys
from client_sdk import FedClient
from client_sdk.store.database import Database

client = FedClient.open(sys.argv[1], "127.0.0.1:1", "films")
client.record("secret-item")
client.set_attribute("gender", "secret-value")
Database.scrub = lambda self: os.kill(os.getpid(), signal.SIGKILL)
client.privacy.delete_data()
"""


def test_a_deletion_that_a_kill_cuts_in_two_is_ended_by_the_next_opening(tmp_path):
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path / "state")], capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with FedClient.open(tmp_path / "state", "127.0.0.1:1", "films") as client:
        assert client.status().recorded == 0
        for secret in (b"secret-item", b"secret-value"):
            assert secret not in bytes_of(tmp_path / "state")


def test_another_reader_of_the_file_keeps_a_deletion_from_being_told_done(client, tmp_path):
    client.record("film-1")
    with closing(sqlite3.connect(tmp_path / "state/state.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM interactions").fetchall()
        client.record("film-2")
        with pytest.raises(StoreError, match="another program"):
            client.privacy.delete_data()
    client.privacy.delete_data()


def test_a_callback_can_neither_sync_nor_delete(client):
    raised = []

    def callback(event):
        for call in (client.sync, client.privacy.delete_data, lambda: client.privacy.forget_attribute("gender")):
            with pytest.raises(UsageError, match="callback") as error:
                call()
            raised.append(error)

    client.events.subscribe(callback)
    client.record("film-1")
    client.sync()
    assert raised


def test_every_commit_is_synced_and_everything_deleted_is_overwritten(client):
    assert client._store.database.one("PRAGMA synchronous") == (2,)
    assert client._store.database.one("PRAGMA secure_delete") == (1,)
