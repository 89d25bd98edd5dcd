"""Who may open a store, and what else may be in its folder."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from client_sdk.errors import StoreError, StoreLockedError, StoreVersionError
from client_sdk.store.sqlite_store import SqliteStore
from tests.client_sdk.store.sqlite_store.contents import adopt


def test_a_second_opening_is_refused_until_the_first_is_closed(tmp_path):
    with closing(SqliteStore(tmp_path)), pytest.raises(StoreLockedError, match="close it there first") as raised:
        SqliteStore(tmp_path)
    assert raised.value.folder == tmp_path
    SqliteStore(tmp_path).close()


def test_a_second_process_is_refused(tmp_path):
    code = (
        "import sys; from pathlib import Path; from client_sdk.store.sqlite_store import SqliteStore\n"
        "from client_sdk.errors import StoreLockedError\n"
        "try: SqliteStore(Path(sys.argv[1]))\n"
        "except StoreLockedError: print('locked')"
    )
    with closing(SqliteStore(tmp_path)):
        result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert result.stdout == "locked\n", result.stderr


def test_a_newer_schema_is_left_alone(tmp_path):
    SqliteStore(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.execute("PRAGMA user_version = 99")
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(StoreVersionError, match="update the fedau2 package"):
        SqliteStore(tmp_path)
    assert (tmp_path / "state.db").read_bytes() == before


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteStore(tmp_path / "file")


def test_only_the_owner_can_read_it(tmp_path, bundle):
    before = os.umask(0)
    try:
        with closing(SqliteStore(tmp_path / "state")) as store:
            adopt(store, bundle)
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "state", *tmp_path.rglob("*")]}
            assert {path.name for path in modes} >= {"state.db", "state.db-wal", "lock", "blobs"}
    finally:
        os.umask(before)
    assert {path: mode for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_every_store_has_a_key_of_its_own(tmp_path):
    stores = [SqliteStore(tmp_path / name) for name in "abc"]
    assert {len(store.key()) for store in stores} == {16}
    assert len({store.key() for store in stores}) == 3
    for store in stores:
        store.close()


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.record("item", 0)
