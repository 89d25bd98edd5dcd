"""Whose folder it is: a client opens its own and new ones, and leaves all others as they are."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import FedClient
from client_sdk.errors import StoreError, StoreLockedError
from client_sdk.store.sqlite_store import SqliteStore
from coordinator.errors import FolderError
from coordinator.store.disk import REAL
from coordinator.store.state_folder import StateFolder
from tests.client_sdk.store.sqlite_store.contents import adopt

OTHERS = "give the client (a|an empty) folder"


def contents(folder):
    return {path.relative_to(folder): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


def photos(folder):
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs/photo.jpg").write_bytes(b"a photo")
    (folder / "letter.txt").write_text("a letter")


def a_hidden_file(folder):
    (folder / ".profile").write_text("")


def an_empty_folder(folder):
    (folder / "music").mkdir()


def a_coordinators(folder):
    with StateFolder(folder).open(REAL):
        (folder / "blobs" / ("0" * 64)).write_bytes(b"a checkpoint")
        (folder / "id").write_text("id\n")


def a_database(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("CREATE TABLE songs (title)")


def a_shops_database(folder):
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("CREATE TABLE client (name)")  # as we have one
        database.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize("fill", [photos, a_hidden_file, an_empty_folder, a_coordinators, a_database, a_shops_database])
def test_a_folder_of_others_is_refused_and_its_files_stay(tmp_path, fill):
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder)
    before = contents(folder)
    for _ in range(2):
        with pytest.raises(StoreError, match=OTHERS):
            FedClient.open(folder, "localhost:1", "films")
    assert contents(folder) == before


def test_a_database_of_others_that_is_all_in_its_log_keeps_what_it_holds(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE songs (title)")
        for name in ("state.db", "state.db-wal"):  # as a crash leaves them
            shutil.copy(tmp_path / name, folder / name)
    with pytest.raises(StoreError, match=OTHERS):
        SqliteStore(folder)
    with closing(sqlite3.connect(folder / "state.db")) as database:
        assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [("songs",)]


@given(st.sets(st.sampled_from(["id", "ledger.sqlite", "photo.jpg", "state.db.bak", "Lock", "x.tmp"]), min_size=1))
def test_whatever_others_names_are_beside_names_of_ours(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("folder")
    for name in {*names, "lock", "pace.json"}:
        (folder / name).write_text("text")
    before = contents(folder)
    with pytest.raises(StoreError, match=OTHERS):
        SqliteStore(folder)
    assert contents(folder) == before


def test_the_same_folder_for_client_and_coordinator_is_refused_by_both(tmp_path, bundle):
    client, server = StateFolder(tmp_path / "client"), StateFolder(tmp_path / "server")
    with closing(SqliteStore(client.path)) as store:
        adopt(store, bundle)
        with pytest.raises(FolderError, match=r"holds a client's state\.db"):
            client.open(REAL)
    before = contents(client.path)
    with pytest.raises(FolderError, match=r"holds a client's state\.db"):
        client.open(REAL)
    assert contents(client.path) == before
    with server.open(REAL), pytest.raises(StoreError, match=OTHERS):
        SqliteStore(server.path)
    with pytest.raises(StoreError, match=OTHERS):
        SqliteStore(server.path)
    server.open(REAL).close()


def test_files_of_others_among_the_blobs_stay_when_a_model_is_replaced(tmp_path, store, bundle):
    adopt(store, bundle)
    blobs, longer = tmp_path / "state/blobs", "0" * 65
    others = {"photo.jpg", "notes.tmp", longer, "F" * 64, f"{'0' * 64}.jpg"}
    for name in others:
        (blobs / name).write_text("mine")
    (blobs / ("1" * 64)).mkdir()
    (blobs / ("2" * 64)).write_text("a blob of an older model")
    newer = bundle.with_checkpoint(7)
    adopt(store, newer, 1)
    adopt(store, newer.with_checkpoint(8), 2)
    kept = {path.name for path in blobs.iterdir()}
    assert kept >= others | {"1" * 64}
    assert "2" * 64 not in kept
    assert newer.checkpoint.sha256.hex() not in kept


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def make_another(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")  # a database without tables


@pytest.mark.parametrize("lose", [remove, empty, make_another])
@pytest.mark.parametrize("log", [b"", b"committed frames"])
def test_a_lost_database_does_not_make_a_new_user(tmp_path, bundle, lose, log):
    folder = tmp_path / "state"
    with closing(SqliteStore(folder)) as store:
        store.record("film-1", 0)
        adopt(store, bundle)
    kept = (folder / "state.db").read_bytes()
    lose(folder / "state.db")
    if log and lose is not make_another:
        (folder / "state.db-wal").write_bytes(log)
    before = contents(folder)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"missing or empty.*put the whole folder back") as raised:
            SqliteStore(folder)
        assert not isinstance(raised.value, StoreLockedError)
    assert contents(folder) == before
    (folder / "state.db-wal").unlink(missing_ok=True)
    (folder / "state.db").write_bytes(kept)
    with closing(SqliteStore(folder)) as store:
        assert store.recorded() == 1


def test_a_lost_database_of_a_user_who_has_no_model_is_found_out_too(tmp_path):
    with closing(SqliteStore(tmp_path)) as store:
        store.record("film-1", 0)
    remove(tmp_path / "state.db")
    with pytest.raises(StoreError, match="missing or empty"):
        SqliteStore(tmp_path)


@pytest.mark.parametrize("name", ["what?1", "100%41", "a b#c", "größe", "\udcff", "state.db", "file:x"])
def test_a_folder_of_any_name_is_opened_again(tmp_path, name):
    for count in range(3):
        with closing(SqliteStore(tmp_path / name)) as store:
            assert store.recorded() == count
            store.record("film-1", count)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_named_by_a_relative_path_or_a_link_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "state")
    (tmp_path / "state").mkdir()
    for count, path in enumerate([Path("state"), Path("../") / tmp_path.name / "state", Path("link")]):
        with closing(SqliteStore(path)) as store:
            assert store.recorded() == count
            store.record("film-1", count)


def nothing(folder):
    pass


def a_lock(folder):
    (folder / "lock").touch()


def an_empty_database(folder):
    (folder / "lock").touch()
    (folder / "state.db").touch()


def a_database_without_tables(folder):
    (folder / "lock").touch()
    (folder / "state.db").touch()
    make_another(folder / "state.db")


@pytest.mark.parametrize("left", [nothing, a_lock, an_empty_database, a_database_without_tables])
def test_a_first_opening_that_was_cut_off_is_begun_again(tmp_path, left):
    left(tmp_path)
    with closing(SqliteStore(tmp_path)) as store:
        assert len(store.key()) == 16
