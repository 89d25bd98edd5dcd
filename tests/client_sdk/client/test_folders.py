import os
import resource
import shutil
import sqlite3
import stat
from contextlib import closing, contextmanager

import pytest

from client_sdk import FedClient, Result, errors
from client_sdk.errors import (
    FedError,
    NoModelError,
    StoreError,
    StoreLockedError,
)
from client_sdk.protocol.values import Model
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.wire import blobs


def test_a_damaged_model_is_told_and_fetched_again(synced, tmp_path, bundle):
    (tmp_path / "state/blobs" / bundle.checkpoint.sha256.hex()).write_bytes(b"damaged")
    with pytest.raises(NoModelError, match="fetch it again"):
        synced.recommend()
    synced.sync()
    assert synced.recommend()


def test_an_old_manifest_does_not_keep_an_app_from_recording(synced, bundle, tmp_path):
    # As after an update of the SDK that no longer runs the format of the cached task.
    synced.close()
    other = bundle.with_manifest(format=1)
    with closing(SqliteStore(tmp_path / "state")) as store:
        for data in other.blobs.values():
            store.keep_blob(blobs.resource(data), data)
        store.adopt(Model("task", 1, other.address, other.checkpoint))
    with FedClient.open(tmp_path / "state", "localhost:1", "films") as client:
        client.record("anything")
        client.set_attribute("gender", "anything")
        with pytest.raises(errors.UnsupportedTaskError, match="format 1 is older"):
            client.recommend()


def test_a_second_client_on_the_same_folder_is_refused(client, open_client):
    with pytest.raises(StoreLockedError):
        open_client()
    client.close()
    open_client()


@contextmanager
def full_database(client):
    """The database's file may not grow."""
    (pages,) = client._store.database.one("PRAGMA page_count")
    client._store.database.one(f"PRAGMA max_page_count = {pages}")
    yield
    client._store.database.one(f"PRAGMA max_page_count = {2**30}")


@contextmanager
def full_disk(client):
    """No file may grow."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def record_until_it_fails(client):
    """Returns how many are recorded then."""
    recorded = client.status().recorded
    for count in (100, 1):
        try:
            while True:
                client.record_many(["film-2"] * count)
                recorded += count
        except StoreError:
            pass
    with pytest.raises(StoreError, match=r"full|disk I/O"):
        client.record("film-2")
    return recorded


@pytest.mark.parametrize("full", [full_database, full_disk])
@pytest.mark.parametrize("before", ["nothing", "a model"])
def test_a_full_disk_loses_nothing_and_all_goes_on_when_there_is_room(client, remote, bundles, full, before, tmp_path):
    items = [f"film-{row}" for row in range(300)]
    remote.bundle = bundles(items)
    remote.assignment = remote.bundle.assignment()
    client.record_many(items[:150])  # so that a contribution fills pages
    if before == "a model":
        client.sync()
        remote.bundle = remote.bundle.with_checkpoint(9)
        remote.assignment = remote.bundle.assignment(1, 1)
    with full(client):
        recorded = record_until_it_fails(client)
        with pytest.raises(StoreError, match=r"full|disk I/O|File too large"):
            client.sync()
        assert remote.names()[-1] == "report_failure"
        assert client.status().recorded == recorded
        assert before == "nothing" or client.recommend(3)
    assert client.status().recorded == recorded
    assert not list((tmp_path / "state").rglob("*.tmp"))
    client.record("film-3")
    assert client.sync().result is Result.UPLOADED
    client.close()
    with closing(SqliteStore(tmp_path / "state")) as store:
        assert store.recorded() == recorded + 1


def test_files_in_a_folder_that_all_may_read_are_their_owners(open_client, tmp_path):
    before = os.umask(0)
    try:
        (tmp_path / "state").mkdir()
        (tmp_path / "state").chmod(0o755)
        client = open_client()
        client.record("film-1")
        client.sync()
        client.recommend()
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}
    finally:
        os.umask(before)
    assert {path.name for path in modes} >= {"state.db", "state.db-wal", "state.db-shm", "lock", "pace.json", "blobs"}
    assert {path: mode for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o755


def damage_database(folder):
    (folder / "state.db").write_bytes(b"no database" * 1000)


def damage_state(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("UPDATE private SET state = x'00'")


def lose_the_key(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("DELETE FROM client")


def damage_the_model(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("UPDATE model SET manifest = x'ff'")


def make_a_file_of_it(folder):
    shutil.rmtree(folder)
    folder.write_text("no folder")


@pytest.mark.parametrize("spoil", [damage_database, damage_state, lose_the_key, damage_the_model, make_a_file_of_it])
def test_whatever_becomes_of_the_folder_only_our_errors_are_raised(
    synced, open_client, spoil, tmp_path, remote, bundle
):
    synced.close()
    remote.assignment = bundle.assignment(1, round_number=1)
    spoil(tmp_path / "state")

    def use():
        client = open_client()
        client.recommend()
        client.sync()

    with pytest.raises(FedError):
        use()


def test_a_transaction_that_a_signal_cut_off_does_not_block_the_next(client):
    client._store.database._connection.execute("BEGIN IMMEDIATE")
    client.record("film-1")
    assert client.status().recorded == 1
