import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from client_sdk import sqlite_store
from client_sdk.errors import StoreError, StoreLockedError, StoreVersionError, UnsupportedTaskError
from client_sdk.sqlite_store import SqliteStore
from client_sdk.state import Model, PrivateState, Staged
from fedau2.wire import blobs

CATALOGUE = ["delta", "bravo", "foxtrot", "alpha", "echo", "charlie"]  # rows do not follow the alphabet
TASKS = ["first", "second"]


def make_state(seed):
    state = PrivateState.start({"user": np.full((1, 3), seed, np.float32)}, 1)
    return replace(state, steps=np.array([seed], np.int64))


def make_staged(number, task_id="task"):
    return Staged(bytes([number]) * 16, task_id, number, b"contribution %d" % number, make_state(number))


def same(one, other):
    return one.pack() == other.pack()


def keep_all(store, bundle):
    for data in bundle.blobs.values():
        store.keep_blob(blobs.resource(data), data)


def adopt(store, bundle, round_number=0):
    keep_all(store, bundle)
    model = Model("task", round_number, bundle.address, bundle.checkpoint)
    store.adopt(model)
    return model


class StoreLaws(RuleBasedStateMachine):
    """The store against a dictionary, closed and opened again at any moment."""

    @initialize()
    def start(self):
        self.folder = Path(tempfile.mkdtemp())
        self.store = SqliteStore(self.folder)
        self.key = self.store.key()
        self.catalogue = "\n".join(CATALOGUE).encode()
        self.store.keep_blob(blobs.resource(self.catalogue), self.catalogue)
        self.recorded, self.attributes, self.private, self.staged = set(), {}, {}, None

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.folder)

    @rule()
    def reopen(self):
        self.store.close()
        self.store = SqliteStore(self.folder)

    @rule(item=st.sampled_from([*CATALOGUE, "not listed"]), time=st.integers(-(2**50), 2**50))
    def record(self, item, time):
        self.store.record(item, time)
        self.recorded.add(item)

    @rule(name=st.sampled_from(["gender", "age"]), value=st.none() | st.text(st.characters(codec="utf-8"), min_size=1))
    def set_attribute(self, name, value):
        self.store.set_attribute(name, value)
        self.attributes[name] = value

    @rule(number=st.integers(0, 9), task_id=st.sampled_from(TASKS))
    def stage(self, number, task_id):
        if self.staged:
            with pytest.raises(StoreError, match="staged already"):
                self.store.stage(make_staged(number, task_id))
        else:
            self.staged = make_staged(number, task_id)
            self.store.stage(self.staged)

    @precondition(lambda self: self.staged)
    @rule()
    def promote(self):
        self.store.promote(self.staged.assignment_id)
        self.private[self.staged.task_id] = self.staged.state
        self.staged = None

    @precondition(lambda self: self.staged)
    @rule()
    def discard(self):
        self.store.discard(self.staged.assignment_id)
        self.staged = None

    @rule(number=st.integers(0, 9), act=st.sampled_from(["promote", "discard"]))
    def another_assignment(self, number, act):
        assignment_id = bytes([number]) * 16
        if self.staged is None or self.staged.assignment_id != assignment_id:
            with pytest.raises(StoreError, match="nothing is staged"):
                getattr(self.store, act)(assignment_id)

    @invariant()
    def holds_what_was_put_in(self):
        assert self.store.key() == self.key
        rows = [row for row, item in enumerate(CATALOGUE) if item in self.recorded]
        np.testing.assert_array_equal(self.store.interactions(blobs.resource(self.catalogue)), rows)
        for name in ("gender", "age"):
            assert self.store.attribute(name) == self.attributes.get(name)
        for task_id in TASKS:
            expected, actual = self.private.get(task_id), self.store.private(task_id)
            assert (actual is None) if expected is None else same(actual, expected)

    @invariant()
    def holds_what_is_staged(self):
        actual = self.store.staged()
        assert (actual is None) == (self.staged is None)
        if self.staged:
            assert same(actual.state, self.staged.state)
            assert replace(actual, state=None).__dict__ == replace(self.staged, state=None).__dict__


StoreLaws.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestStoreLaws = StoreLaws.TestCase


# Dies by SIGKILL just before the n-th statement of what follows; reports when it came through.
DIES = """
import os, signal, sqlite3, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_sqlite_store import SqliteStore, make_staged

left = int(sys.argv[2])
connections, connect = [], sqlite3.connect
def connecting(*args, **options):
    connections.append(connect(*args, **options))
    return connections[-1]
sqlite3.connect = connecting

def statement(text):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

store = SqliteStore(Path(sys.argv[1]))
connections[0].set_trace_callback(statement)
store.stage(make_staged(2))
store.promote(make_staged(2).assignment_id)
print("through", left)
"""
STATED, STATEMENTS = 6, 13  # of stage alone, and with those of promote


@pytest.mark.parametrize("survived", range(STATEMENTS + 1))
def test_killed_between_any_two_statements_contribution_and_state_stay_together(tmp_path, survived):
    with closing(SqliteStore(tmp_path)) as store:
        store.stage(make_staged(1))
        store.promote(make_staged(1).assignment_id)
    command = [sys.executable, "-c", DIES, str(tmp_path), str(survived), str(Path(__file__).parent)]
    result = subprocess.run(command, capture_output=True, text=True)
    if survived == STATEMENTS:
        assert result.stdout == "through 0\n", result.stderr
    else:
        assert result.returncode == -9, result.stderr
    with closing(SqliteStore(tmp_path)) as store:
        staged, private = store.staged(), store.private("task")
    assert same(private, make_state(2 if survived == STATEMENTS else 1))
    if STATED <= survived < STATEMENTS:
        assert same(staged.state, make_state(2))
        assert staged.contribution == make_staged(2).contribution
    else:
        assert staged is None


def test_a_second_opening_is_refused_until_the_first_is_closed(tmp_path):
    with closing(SqliteStore(tmp_path)), pytest.raises(StoreLockedError, match="close it there first"):
        SqliteStore(tmp_path)
    SqliteStore(tmp_path).close()


def test_a_second_process_is_refused(tmp_path):
    code = (
        "import sys; from pathlib import Path; from client_sdk.sqlite_store import SqliteStore\n"
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


def test_what_a_full_disk_keeps_in_the_log_is_read_and_written_on_when_there_is_room(tmp_path):
    with closing(SqliteStore(tmp_path / "one")) as store:
        store.record_many([(f"item-{number}", number) for number in range(2000)])
        shutil.copytree(tmp_path / "one", tmp_path / "two")  # as a crash leaves it: all of it in the log
    assert (tmp_path / "two/state.db-wal").stat().st_size > 100_000 > (tmp_path / "two/state.db").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
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


def test_a_value_beyond_the_database_is_told(store, bundle):
    keep_all(store, bundle)
    with pytest.raises(StoreError, match="too large"):
        store.adopt(Model("task", 2**64 - 1, bundle.address, bundle.checkpoint))


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


def test_adopting_removes_what_the_new_model_does_not_name(tmp_path, store, bundle):
    adopt(store, bundle)
    newer = bundle.with_checkpoint(7)
    (tmp_path / "state/blobs/half.part").write_bytes(b"left by a crash")
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
    for number in range(sqlite_store.TASKS + 2):
        store.stage(make_staged(number, f"task-{number % (sqlite_store.TASKS + 1)}"))
        store.promote(make_staged(number).assignment_id)
    # Task 0 was trained first and again at the end.
    assert store.private("task-1") is None
    assert store.contributed("task-1") == 1
    for number in (0, *range(2, sqlite_store.TASKS + 1)):
        assert store.private(f"task-{number}") is not None


def test_the_newest_departures_are_remembered(store, monkeypatch):
    monkeypatch.setattr(sqlite_store, "DEPARTURES", 3)
    for number in range(5):
        store.stage(make_staged(number))
        store.discard(make_staged(number).assignment_id)
    assert store.database.all("SELECT round, outcome FROM departures") == [(n, "refused") for n in (2, 3, 4)]
