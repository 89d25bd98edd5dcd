"""Forgetting: what is removed, and that no byte of it is left in the files."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk import FedClient, Result, StoreError, UsageError
from fedau2.wire.status import Status, StatusError

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def bytes_of(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def open_in(folder):
    return FedClient.open(folder, "localhost:1", "films")


ids = st.text("abcdefghijklmnop", min_size=12, max_size=40)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ids, min_size=2, max_size=30, unique=True), st.integers(1, 5), st.booleans())
def test_no_byte_of_a_forgotten_item_is_left(tmp_path_factory, items, times, excluded):
    folder = tmp_path_factory.mktemp("forgetting") / "state"
    forgotten, *kept = items
    with open_in(folder) as client:
        client.record_many([forgotten] * times + kept, kinds=["dislike"] * times + ["view"] * len(kept))
        if excluded:
            client.exclude(items)
            client.include(items)
        assert forgotten.encode() in bytes_of(folder)
        assert client.forget(forgotten) == times
        assert forgotten.encode() not in bytes_of(folder)
        assert [each["item"] for each in client.privacy.export_data()["interactions"]] == kept
    assert forgotten.encode() not in bytes_of(folder)


def test_one_interaction_of_an_item_is_forgotten_by_its_time(client):
    client.record_many(["film-1", "film-1", "film-2"], [DAY, DAY + timedelta(days=1), DAY])
    assert client.forget("film-1", DAY) == 1
    assert client.forget("film-1", DAY) == 0
    left = client.privacy.export_data()["interactions"]
    assert [(each["item"], each["time"][:10]) for each in left] == [("film-2", "2026-01-01"), ("film-1", "2026-01-02")]


@pytest.mark.parametrize("item", ["Film-1", "ﬁlm-1", "film-99"])
def test_another_id_is_not_forgotten(client, item):
    client.record("film-1")
    assert client.forget(item) == 0
    assert client.status().recorded == 1


@pytest.mark.parametrize(
    "arguments", [(None,), ("",), (7,), ("film-1", 5), ("film-1", datetime(2026, 1, 1)), ("a\nb",)]
)
def test_what_cannot_be_meant_forgets_nothing(client, arguments):
    client.record("film-1")
    with pytest.raises(UsageError):
        client.forget(*arguments)
    assert client.status().recorded == 1


def test_a_contribution_that_waits_is_withdrawn_and_vectors_stay(synced, remote):
    remote.assignment = remote.bundle.assignment(number=1, round_number=1)
    remote.refusals["upload"] = StatusError(Status.UNAVAILABLE, "gone")
    with pytest.raises(Exception, match="gone"):
        synced.sync()
    vectors = synced.privacy.export_data()["vectors"]
    assert synced.status().upload_waiting
    assert synced.forget("film-99") == 0
    assert synced.status().upload_waiting
    assert synced.forget("film-1") == 1
    assert not synced.status().upload_waiting
    assert synced.privacy.export_data()["vectors"] == vectors
    assert synced.privacy.report().departures[0].outcome == "withdrawn"


def test_what_is_forgotten_is_recommended_again_and_trained_on_no_more(synced, remote):
    assert "film-1" not in [each.item for each in synced.recommend(12)]
    synced.forget("film-1")
    assert "film-1" in [each.item for each in synced.recommend(12)]
    remote.assignment = remote.bundle.assignment(number=1, round_number=1)
    assert synced.sync().result == Result.UPLOADED


def test_it_waits_for_a_sync_that_could_put_it_back(held, in_thread):
    client, syncing, go = held
    forgetting = in_thread(lambda: client.forget("film-1"))
    go.set()
    assert syncing().result == Result.UPLOADED
    assert forgetting() == 1
    assert not client.status().upload_waiting


def test_while_another_program_reads_the_file_it_says_so_and_can_be_called_again(client, tmp_path):
    client.record("film-secret")
    with closing(sqlite3.connect(tmp_path / "state" / "state.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM interactions").fetchall()
        with pytest.raises(StoreError, match="another program reads"):
            client.forget("film-secret")
    assert client.forget("film-secret") == 0
    assert b"film-secret" not in bytes_of(tmp_path / "state")
