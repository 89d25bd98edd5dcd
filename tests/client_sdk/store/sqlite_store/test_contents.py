"""What is kept, and for how long."""

from threading import Thread

import pytest

from client_sdk.errors import StoreError, UnsupportedTaskError
from client_sdk.protocol.values import Model
from client_sdk.store import departures, lineage
from fedau2.wire import blobs
from tests.client_sdk.store.sqlite_store.contents import adopt, keep_all, make_staged


def test_a_value_beyond_the_database_is_told(store, bundle):
    keep_all(store, bundle)
    with pytest.raises(StoreError, match="too large"):
        store.adopt(Model("task", 2**64 - 1, bundle.address, bundle.checkpoint))


def test_adopting_removes_what_the_new_model_does_not_name(tmp_path, store, bundle):
    adopt(store, bundle)
    newer = bundle.with_checkpoint(7)
    (tmp_path / "state/blobs" / f"{'0' * 64}.tmp").write_bytes(b"left by a crash")
    model = adopt(store, newer, 1)
    assert store.model() == model
    assert store.blob(bundle.checkpoint) == bundle.blobs[bundle.checkpoint.sha256]  # the manifest still names it
    newest = bundle.with_checkpoint(8)
    adopt(store, newest, 2)
    assert store.blob(newer.checkpoint) is None
    assert {path.name for path in (tmp_path / "state/blobs").iterdir()} == {key.hex() for key in newest.blobs}


def test_adopting_a_model_with_a_wrong_catalogue_changes_nothing(store, bundle):
    model = adopt(store, bundle)
    wrong = bundle.with_manifest(items=13)
    keep_all(store, wrong)
    with pytest.raises(UnsupportedTaskError, match="lists 12 items and its manifest 13"):
        store.adopt(Model("task", 1, wrong.address, wrong.checkpoint))
    assert store.model() == model


def test_a_catalogue_that_is_none_is_told(store):
    data = b"one\none"
    store.keep_blob(blobs.resource(data), data)
    with pytest.raises(UnsupportedTaskError, match="twice"):
        store.interactions(blobs.resource(data))


def test_without_the_catalogue_there_are_no_rows(store):
    address = blobs.resource(b"one\ntwo")
    assert store.rows(address) is None
    with pytest.raises(StoreError, match="missing or damaged"):
        store.interactions(address)


def test_rows_follow_the_catalogue_that_is_asked_for(store):
    store.record("b", 0)
    for items, row in (("a\nb", 1), ("b\na", 0), ("a\nb", 1)):
        data = items.encode()
        store.keep_blob(blobs.resource(data), data)
        assert store.interactions(blobs.resource(data)).tolist() == [row]


def test_threads_lose_nothing(store):
    def work(thread):
        for number in range(25):
            store.record(f"item-{thread}-{number}", number)
            store.set_attribute(f"name-{thread}", str(number))

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    items = "\n".join(f"item-{thread}-{number}" for thread in range(4) for number in range(25)).encode()
    store.keep_blob(blobs.resource(items), items)
    assert len(store.interactions(blobs.resource(items))) == 100
    assert [store.attribute(f"name-{thread}") for thread in range(4)] == ["24"] * 4


def test_private_state_is_kept_of_the_tasks_trained_for_last(store):
    for number in range(lineage.TASKS + 2):
        store.stage(make_staged(number, f"task-{number % (lineage.TASKS + 1)}"))
        store.promote(make_staged(number).assignment_id)
    # Task 0 was trained first and again at the end.
    assert store.private("task-1") is None
    assert store.contributed("task-1") == 1
    for number in (0, *range(2, lineage.TASKS + 1)):
        assert store.private(f"task-{number}") is not None


def test_the_newest_departures_are_remembered(store, monkeypatch):
    monkeypatch.setattr(departures, "MOST", 3)
    for number in range(5):
        store.stage(make_staged(number))
        store.discard(make_staged(number).assignment_id)
    assert store.database.all("SELECT round, outcome FROM departures") == [(n, "refused") for n in (2, 3, 4)]
