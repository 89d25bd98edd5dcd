"""State folders of older SDKs: opened, and led to the newest schema whatever dies meanwhile."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from client_sdk.protocol.values import PrivateState
from client_sdk.store import schema
from client_sdk.store.sqlite_store import SqliteStore

STATE = PrivateState.start({"user": np.arange(3, dtype=np.float32)[None]}, 1)


def write_version_1(folder):
    """A folder as the first release left it, with something of everything."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "state.db", isolation_level=None)) as database:
        for statement in schema._STEPS[0]:
            database.execute(statement)
        database.execute("PRAGMA user_version = 1")
        database.execute("INSERT INTO client VALUES (1, ?)", (bytes(range(16)),))
        database.executemany("INSERT INTO interactions VALUES (?, ?)", [("film-1", 5), ("film-2", 3)])
        database.execute("INSERT INTO attributes VALUES ('gender', 'F')")
        database.execute("INSERT INTO private VALUES ('task', 7, ?)", (STATE.pack(),))
        database.execute(
            "INSERT INTO staged VALUES (1, ?, 'task', 8, ?, ?)", (b"a" * 16, b"contribution", STATE.pack())
        )


def check(store):
    assert store.key() == bytes(range(16))
    assert store.attribute("gender") == "F"
    assert store.database.all("SELECT item, time FROM interactions ORDER BY time") == [("film-2", 3), ("film-1", 5)]
    assert store.database.all("SELECT DISTINCT kind, weight, value FROM interactions") == [("view", 1.0, None)]
    assert store.contributed("task") == 7
    assert store.private("task").pack() == STATE.pack()
    assert store.staged().contribution == b"contribution"
    assert store.staged().attributes == ()


def test_a_folder_of_the_first_release_is_led_to_the_newest_schema(tmp_path):
    write_version_1(tmp_path / "state")
    for _ in range(2):
        with closing(SqliteStore(tmp_path / "state")) as store:
            check(store)
            assert store.database.one("PRAGMA user_version") == (schema.VERSION,)
    with closing(SqliteStore(tmp_path / "state")) as store:
        store.promote(b"a" * 16)
        assert store.contributed("task") == 8


def test_contributions_whose_noise_an_older_sdk_did_not_note_count_as_without_noise(tmp_path):
    with closing(SqliteStore(tmp_path)) as store, store.database.transaction() as connection:
        connection.execute("DROP TABLE masked_contributions")
        connection.execute("DROP TABLE releases")
        connection.execute("ALTER TABLE staged DROP COLUMN noise")
        connection.executemany("INSERT INTO participations VALUES (?, ?)", [("a", 3), ("b", 4), ("c", 0)])
        connection.execute("PRAGMA user_version = 9")
    with closing(SqliteStore(tmp_path)) as store:
        assert store.identities.masked() == {0.0: 7}


def test_it_then_has_the_tables_of_a_new_one(tmp_path):
    write_version_1(tmp_path / "old")
    definitions = []
    for name in ("old", "new"):
        with closing(SqliteStore(tmp_path / name)) as store:
            definitions.append(store.database.all("SELECT type, name, sql FROM sqlite_schema ORDER BY name"))
    assert definitions[0] == definitions[1]


DIES = """
import os, signal, sqlite3, sys
from pathlib import Path
from client_sdk.store.sqlite_store import SqliteStore

left, connect = int(sys.argv[2]), sqlite3.connect

def statement(text):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def connecting(*args, **options):
    connection = connect(*args, **options)
    connection.set_trace_callback(statement)
    return connection

sqlite3.connect = connecting
SqliteStore(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("survived", range(4, 18))
def test_killed_between_any_two_statements_of_the_way_it_is_walked_again(tmp_path, survived):
    write_version_1(tmp_path / "state")
    command = [sys.executable, "-c", DIES, str(tmp_path / "state"), str(survived)]
    died = subprocess.run(command, capture_output=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with closing(SqliteStore(tmp_path / "state")) as store:
        check(store)
