"""A state folder that was copied or restored has a secret key of its own, and keeps its data."""

import logging
import os
import platform
import shutil
import sqlite3
from contextlib import closing

import pytest

from client_sdk.store.sqlite_store import SqliteStore
from tests.client_sdk.store.sqlite_store.contents import make_staged, make_state, same


def fill(folder):
    with closing(SqliteStore(folder)) as store:
        store.record("film-1", 5)
        store.set_attribute("gender", "F")
        store.stage(make_staged(1))
        store.promote(make_staged(1).assignment_id)
        store.stage(make_staged(2))
        return store.key()


def check(folder):
    """The key, after a look at the data."""
    with closing(SqliteStore(folder)) as store:
        assert store.recorded() == 1
        assert store.attribute("gender") == "F"
        assert same(store.private("task"), make_state(1))
        assert store.staged().contribution == make_staged(2).contribution
        assert store.contributed("task") == 1
        return store.key()


def test_a_folder_that_stays_keeps_its_key(tmp_path, caplog):
    key = fill(tmp_path / "state")
    (tmp_path / "state").rename(tmp_path / "moved")
    (tmp_path / "moved" / "state.db").touch()
    assert [check(tmp_path / "moved") for _ in range(2)] == [key, key]
    assert not caplog.records


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])
def test_a_copy_draws_a_key_once_and_says_so(tmp_path, caplog, copy):
    caplog.set_level(logging.WARNING)
    key = fill(tmp_path / "state")
    shutil.copytree(tmp_path / "state", tmp_path / "copy", copy_function=copy)
    other = check(tmp_path / "copy")
    assert other != key
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'copy'} was copied or restored: it has a new secret key, and keeps everything else"
    ]
    assert check(tmp_path / "copy") == other
    assert check(tmp_path / "state") == key


def test_a_backup_without_the_lock_draws_a_key(tmp_path):
    key = fill(tmp_path / "state")
    os.unlink(tmp_path / "state" / "lock")  # noqa: PTH108 - so that no other file gets its number
    (tmp_path / "taken").touch()
    assert check(tmp_path / "state") != key


def test_an_image_of_the_disk_on_another_machine_draws_a_key(tmp_path, monkeypatch):
    key = fill(tmp_path / "state")
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert check(tmp_path / "state") != key


def test_a_folder_of_an_older_sdk_keeps_its_key(tmp_path):
    key = fill(tmp_path / "state")
    with closing(sqlite3.connect(tmp_path / "state" / "state.db")) as connection, connection:
        connection.execute("UPDATE client SET instance = NULL")
    assert [check(tmp_path / "state") for _ in range(2)] == [key, key]
