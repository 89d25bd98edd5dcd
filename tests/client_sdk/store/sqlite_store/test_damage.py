"""Damaged files and full disks are told, and lose nothing else."""

import resource
import shutil
import sqlite3
from contextlib import closing

import pytest

from client_sdk.errors import StoreError, StoreLockedError
from client_sdk.interactions import Kept
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.wire import blobs
from tests.client_sdk.store.sqlite_store.contents import make_staged


def overwrite(path, start, data):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


@pytest.mark.parametrize(
    ("start", "data"), [(0, b"not a database at all" * 50), (4096, bytes(4096)), (8192, bytes(4096))]
)
def test_a_damaged_database_is_told_with_what_to_do_and_lets_go_of_the_lock(tmp_path, start, data):
    with closing(SqliteStore(tmp_path)) as store:
        for number in range(5):
            store.record(f"item-{number}", number)
    overwrite(tmp_path / "state.db", start, data)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"is damaged.*move it away") as raised:
            SqliteStore(tmp_path)
        assert not isinstance(raised.value, StoreLockedError)


def test_damaged_private_state_is_told(tmp_path, store):
    store.stage(make_staged(1))
    store.promote(make_staged(1).assignment_id)
    with closing(sqlite3.connect(tmp_path / "state/state.db")) as database, database:
        database.execute("UPDATE private SET state = x'00'")
    with pytest.raises(StoreError, match="is damaged"):
        store.private("task")


def test_what_a_full_disk_keeps_in_the_log_is_read_and_written_on_when_there_is_room(tmp_path):
    with closing(SqliteStore(tmp_path / "one")) as store:
        store.record_many([Kept(f"item-{number}", number) for number in range(2000)])
        shutil.copytree(tmp_path / "one", tmp_path / "two")  # as a crash leaves it: all of it in the log
    (tmp_path / "two" / "lock").unlink()
    (tmp_path / "two" / "lock").hardlink_to(tmp_path / "one" / "lock")  # so it is the same folder, and no copy
    assert (tmp_path / "two/state.db-wal").stat().st_size > 120_000 > (tmp_path / "two/state.db").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, limits[1]))
    try:
        store = SqliteStore(tmp_path / "two")
        assert store.recorded() == 2000
        with pytest.raises(StoreError, match="disk I/O"):
            store.record("item", 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    store.record("item", 0)
    assert store.recorded() == 2001
    store.close()


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_blob_is_absent_and_removed(tmp_path, store, damage):
    data = bytes(range(200))
    address = blobs.resource(data)
    assert store.blob(address) is None
    store.keep_blob(address, data)
    assert store.blob(address) == data
    path = tmp_path / "state/blobs" / address.sha256.hex()
    path.write_bytes(damage(data))
    assert store.blob(address) is None
    assert not path.exists()
