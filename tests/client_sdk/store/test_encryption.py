"""A state folder that is encrypted with the app's key, by SQLCipher."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

pytest.importorskip("sqlcipher3")

from client_sdk import AsyncFedClient, FedClient, MissingPackageError, Result, StoreKeyError, change_key
from client_sdk.errors import StoreError, StoreLockedError, UsageError
from client_sdk.interactions import Kept
from client_sdk.store.sqlite_store import SqliteStore
from tests.client_sdk.store.sqlite_store.contents import make_staged

KEY, OTHER = bytes(range(32)), bytes(32)
SECRET = "film-that-nobody-must-see"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


def fill(folder, key):
    """Writes something of everything about a user."""
    with closing(SqliteStore(folder, key=key)) as store:
        store.record(SECRET, 5)
        store.set_attribute("gender", SECRET)
        store.stage(make_staged(1))
        store.promote(make_staged(1).assignment_id)
        store.stage(make_staged(2))


def contents(folder, key):
    with closing(SqliteStore(folder, key=key)) as store:
        tables = [name for (name,) in store.database.all("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        rows = {name: store.database.all(f"SELECT * FROM {name}") for name in tables}
        return rows | {"version": store.database.one("PRAGMA user_version")}


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def blocks(data):
    return {data[at : at + 16] for at in range(0, len(data), 16)}


def test_no_file_shows_what_the_user_did_also_while_it_is_open(folder):
    with closing(SqliteStore(folder, key=KEY)) as store:
        store.record(SECRET, 5)
        store.set_attribute("gender", SECRET)
        store.stage(make_staged(1))
        assert (folder / "state.db-wal").stat().st_size
        open_files = files(folder)
    for data in [*open_files.values(), *files(folder).values()]:
        assert SECRET.encode() not in data
        assert make_staged(1).contribution not in data
        assert not data.startswith(b"SQLite format 3")
    fill(folder.with_name("plain"), None)
    assert any(SECRET.encode() in data for data in files(folder.with_name("plain")).values())


def test_two_folders_with_one_key_have_no_page_in_common(folder):
    for name in ("one", "two"):
        fill(folder.with_name(name), KEY)
    one, two = (blocks((folder.with_name(name) / "state.db").read_bytes()) for name in ("one", "two"))
    assert len(one) > 100
    assert not one & two


@pytest.mark.parametrize(("made", "opened"), [(KEY, OTHER), (KEY, None), (None, KEY)])
def test_another_key_opens_nothing_and_changes_nothing(folder, capfd, made, opened):
    fill(folder, made)
    before = files(folder)
    with pytest.raises(StoreKeyError, match=r"state\.db") as raised:
        SqliteStore(folder, key=opened)
    assert KEY.hex() not in str(raised.value)
    assert OTHER.hex() not in str(raised.value)
    assert files(folder) == before
    assert capfd.readouterr() == ("", "")
    contents(folder, made)


@pytest.mark.parametrize("at", [0, 20, 5000])
def test_a_file_that_was_changed_is_refused(folder, at):
    fill(folder, KEY)
    data = bytearray((folder / "state.db").read_bytes())
    data[at] ^= 1
    (folder / "state.db").write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        contents(folder, KEY)


@pytest.mark.parametrize(("old", "new"), [(None, KEY), (KEY, None), (KEY, OTHER), (KEY, KEY), (None, None)])
def test_a_changed_key_changes_nothing_else(folder, old, new):
    fill(folder, old)
    before = contents(folder, old)
    change_key(folder, old and (lambda: old), new and (lambda: new))
    assert contents(folder, new) == before
    assert (folder / "state.db").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in folder.iterdir()} == {"blobs", "lock", "state.db"}
    assert (SECRET.encode() in (folder / "state.db").read_bytes()) == (new is None)


def test_a_key_is_not_changed_where_it_cannot_be(folder):
    with pytest.raises(StoreError, match=r"it has no state\.db"):
        change_key(folder, None, lambda: KEY)
    assert not folder.exists()
    fill(folder, KEY)
    before = files(folder)
    with pytest.raises(StoreKeyError, match="another key"):
        change_key(folder, lambda: OTHER, None)
    with pytest.raises(StoreKeyError, match="damaged or encrypted"):
        change_key(folder, None, lambda: OTHER)
    with closing(SqliteStore(folder, key=KEY)), pytest.raises(StoreLockedError):
        change_key(folder, lambda: KEY, None)
    assert files(folder) == before


def test_the_database_of_another_program_is_not_encrypted(folder):
    folder.mkdir()
    with closing(sqlite3.connect(folder / "state.db")) as connection:
        connection.execute("CREATE TABLE notes (text)")
    before = (folder / "state.db").read_bytes()
    with pytest.raises(StoreError, match="not a client's database"):
        change_key(folder, None, lambda: KEY)
    (folder / "empty").mkdir()
    (folder / "empty" / "state.db").touch()
    with pytest.raises(StoreError, match="not a client's database"):
        change_key(folder / "empty", None, lambda: KEY)
    assert (folder / "state.db").read_bytes() == before
    assert not (folder / "empty" / "state.db").stat().st_size


# Reads until its input ends.
READS = """
import sqlite3, sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
print(connection.execute("SELECT count(*) FROM interactions").fetchall(), flush=True)
sys.stdin.read()
"""


def test_a_log_that_another_program_reads_is_not_left_beside_the_new_file(folder):
    fill(folder, None)
    command = [sys.executable, "-c", READS, str(folder / "state.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout.readline()
        with closing(SqliteStore(folder)) as store:
            store.record_many([Kept(f"film-{number}", number) for number in range(3000)])
        with pytest.raises(StoreError, match="another program reads it"):
            change_key(folder, None, lambda: KEY)
        reader.stdin.close()
    assert len(contents(folder, None)["interactions"]) == 3001
    change_key(folder, None, lambda: KEY)
    assert len(contents(folder, KEY)["interactions"]) == 3001


# Dies by SIGKILL just before the n-th step of putting the new file into its place.
DIES = """
import os, signal, sys
from client_sdk import change_key
from fedau2.files import Steps

left = int(sys.argv[2])
for name in ("sync", "rename", "sync_folder"):
    def step(self, *paths, real=getattr(Steps, name)):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, *paths)
    setattr(Steps, name, step)
change_key(sys.argv[1], lambda: bytes(range(32)), None)
"""


@pytest.mark.parametrize("survived", range(3))
def test_killed_while_its_key_is_changed_a_folder_has_one_of_the_two(folder, survived):
    fill(folder, KEY)
    before = contents(folder, KEY)
    child = subprocess.run([sys.executable, "-c", DIES, str(folder), str(survived)], cwd=ROOT)
    assert child.returncode == -signal.SIGKILL
    replaced = survived == 2
    assert (folder / "state.db.new").exists() != replaced
    assert contents(folder, None if replaced else KEY) == before
    assert {path.name for path in folder.iterdir()} == {"blobs", "lock", "state.db"}


# Records until it is killed, and says what is kept.
RECORDS = """
import sys
from pathlib import Path
from client_sdk.store.sqlite_store import SqliteStore

store = SqliteStore(Path(sys.argv[1]), key=bytes(range(32)))
for number in range(10**9):
    store.record(f"film-{number}", number)
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    "kept", [0, 7, *(pytest.param(number, marks=pytest.mark.slow) for number in range(10, 400, 17))]
)
def test_killed_while_it_records_an_encrypted_store_has_what_was_acknowledged(folder, kept):
    command = [sys.executable, "-c", RECORDS, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        for line in child.stdout:
            if int(line) == kept:
                os.kill(child.pid, signal.SIGKILL)
                break
    rows = contents(folder, KEY)["interactions"]
    assert rows[: kept + 1] == [Kept(f"film-{number}", number) for number in range(kept + 1)]


def opened(folder, address, key, **options):
    return FedClient.open(folder, address, "films", key=key, **options)


def test_a_client_works_as_without_a_key(folder, address):
    with opened(folder, address, lambda: KEY) as client:
        client.record("film-1")
        assert client.sync().result == Result.UPLOADED
        client.privacy.forget_attribute("gender")
        recommended = client.recommend(3)
        client.set_attribute("gender", "F")
        client.set_attribute("gender", None)

    async def main():
        client = await AsyncFedClient.open(folder, address, "films", key=lambda: KEY)
        async with client:
            return await client.recommend(3)

    assert asyncio.run(main()) == recommended
    with opened(folder, address, lambda: KEY) as client:
        client.privacy.delete_data()
        assert client.status().recorded == 0


def failing():
    raise OSError(KEY.hex())


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        (KEY, UsageError, "a function that returns 32 bytes"),
        (lambda: None, UsageError, "must return 32 bytes"),
        (lambda: KEY.hex(), UsageError, "must return 32 bytes"),
        (lambda: KEY[:-1], UsageError, "must return 32 bytes"),
        (failing, StoreKeyError, "the key raised OSError"),
    ],
)
def test_a_key_that_cannot_be_used_makes_no_folder(folder, key, kind, message):
    with pytest.raises(kind, match=message) as raised:
        opened(folder, "127.0.0.1:1", key)
    assert KEY.hex() not in str(raised.value)
    assert not folder.exists()


def test_without_sqlcipher_a_key_is_refused(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlcipher3.dbapi2", None)
    with pytest.raises(MissingPackageError, match=r"fedau2\[encrypted\]"):
        opened(folder, "127.0.0.1:1", lambda: KEY)
    with ExitStack() as stack:
        stack.enter_context(opened(folder, "127.0.0.1:1", None))
