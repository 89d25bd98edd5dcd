"""A device carries its state over to a successor, in the transaction that adopts the successor's model."""

import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.events import CarriedOver
from client_sdk.protocol import succession
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import Model, PrivateState, Staged
from client_sdk.store.lineage import TASKS
from client_sdk.store.personal import PersonalData
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.task_pb2 import LocalUpdate, Optimizer, Plan, ServerStep, TaskManifest
from fedau2.v1.tensors_pb2 import Initializer, TensorSpec
from fedau2.wire import blobs, manifest
from fedau2.wire import succession as wire

OLD, NEW = ["a", "b", "c", "d"], ["d", "new", "a", "c"]
NORMAL = Initializer(distribution=2, scale=0.01)
SGD = Optimizer(kind=1, learning_rate=0.1)


class Task:
    """A task made by hand: a private tensor over items and one that is not."""

    def __init__(self, name, items, before=(), *, latent=2, width=3, model="fedrap", ids=None):
        catalogue, checkpoint = "\n".join(ids or items).encode(), blobs.pack({"bias": np.zeros(1, np.float32)})
        self.items, self.name = items, name
        self.manifest = TaskManifest(
            format=2,
            model=model,
            tensors=[
                spec("bias", [1], scope=1),
                spec("personal", [len(items), latent], item_axis=1),
                spec("user", [width]),
            ],
            plan=Plan(
                local=LocalUpdate(steps=1, negatives=4, chunk=128, private_learning_rate=0.1),
                server=ServerStep(shared=SGD),
            ),
            items=len(items),
            catalogue=blobs.resource(catalogue),
            checkpoint=blobs.resource(checkpoint),
        )
        for ancestor in before:
            hashes = wire.ancestors(ancestor.data)
            self.manifest.ancestors.extend(each for each in hashes if each not in self.manifest.ancestors)
        self.data = self.manifest.SerializeToString(deterministic=True)
        self.blobs = (self.data, catalogue, checkpoint)
        manifest.parse(self.data)

    def adopt(self, store, number=0):
        """Adopts a version as a session does; returns what was carried over."""
        for data in self.blobs:
            store.keep_blob(blobs.resource(data), data)
        model = Model(self.name, number, blobs.resource(self.data), self.manifest.checkpoint)
        carried = succession.carry(store, model, self.manifest)
        store.adopt(model, carried)
        return carried

    def last(self, store, number):
        model = Model(self.name, number, blobs.resource(self.data), self.manifest.checkpoint)
        return succession.last_contribution(store, model, self.manifest)

    def state(self, seed):
        rng = np.random.default_rng(seed)
        parts = [
            {name: rng.normal(size=shape).astype(np.float32) for name, shape in self.shapes().items()} for _ in range(3)
        ]
        return PrivateState(*parts, np.array([seed + 5], np.int64))

    def shapes(self):
        return {each.name: (1, *each.shape) for each in manifest.private(self.manifest)}

    def train(self, store, number, seed=1):
        state = self.state(seed)
        store.stage(Staged(bytes(16), self.name, number, b"contribution", state))
        store.promote(bytes(16))
        return state


def spec(name, shape, scope=3, item_axis=0):
    return TensorSpec(name=name, shape=shape, dtype=1, kind=1, scope=scope, initializer=NORMAL, item_axis=item_axis)


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(tmp_path / "state")
    yield store
    store.close()


FIRST = Task("first", OLD)
SECOND = Task("second", NEW, [FIRST])


def check(now, before, task, old, new, key):
    fresh = initial_state(task, key)
    for part in ("values", "first", "second"):
        mine, theirs, anew = (getattr(state, part) for state in (now, before, fresh))
        assert np.array_equal(mine["user"], theirs["user"])
        for row, item in enumerate(new):
            known = theirs["personal"][0, old.index(item)] if item in old else anew["personal"][0, row]
            assert np.array_equal(mine["personal"][0, row], known)
    assert now.steps == before.steps


def test_vectors_moments_and_steps_follow_the_items(store):
    FIRST.adopt(store)
    before = FIRST.train(store, 4)
    carried = SECOND.adopt(store, 5)
    assert carried.event == CarriedOver("second", ("personal", "user"), ())
    check(store.private("second"), before, SECOND.manifest, OLD, NEW, store.task_key("second"))
    assert store.contributed("second") == 4
    assert store.private("first").pack() == before.pack()  # so that the operator may go back


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(0, 9).map(str), min_size=1, max_size=6, unique=True),
    st.lists(st.integers(0, 9).map(str), min_size=1, max_size=6, unique=True),
)
def test_any_two_catalogues(tmp_path_factory, old, new):
    one = Task("one", old)
    other = Task("other", new, [one])
    store = SqliteStore(tmp_path_factory.mktemp("state"))
    one.adopt(store)
    before = one.train(store, 1)
    other.adopt(store, 2)
    check(store.private("other"), before, other.manifest, old, new, store.task_key("other"))
    store.close()


def test_it_happens_once_and_what_was_trained_since_stays(store):
    FIRST.adopt(store)
    FIRST.train(store, 0)
    SECOND.adopt(store, 1)
    after = SECOND.train(store, 1, seed=9)
    assert SECOND.adopt(store, 2) is None
    assert store.private("second").pack() == after.pack()


def test_versions_that_the_device_missed_are_passed_over(store):
    FIRST.adopt(store)
    before = FIRST.train(store, 0)
    third = Task("third", ["c", "x"], [SECOND])
    third.adopt(store, 9)
    check(store.private("third"), before, third.manifest, OLD, ["c", "x"], store.task_key("third"))


def test_the_newest_ancestor_with_state_counts(store):
    FIRST.adopt(store)
    FIRST.train(store, 0)
    SECOND.adopt(store, 1)
    newer = SECOND.train(store, 1, seed=7)
    third = Task("third", OLD, [SECOND])
    third.adopt(store, 2)
    check(store.private("third"), newer, third.manifest, NEW, OLD, store.task_key("third"))
    assert store.contributed("third") == 1


def test_what_does_not_fit_starts_anew_and_is_named(store, caplog):
    FIRST.adopt(store)
    before = FIRST.train(store, 3)
    wider = Task("wider", NEW, [FIRST], latent=5)
    assert wider.adopt(store, 4).event == CarriedOver("wider", ("user",), ("personal",))
    fresh = initial_state(wider.manifest, store.task_key("wider"))
    assert np.array_equal(store.private("wider").values["personal"], fresh.values["personal"])
    assert np.array_equal(store.private("wider").values["user"], before.values["user"])


def test_another_recommender_starts_anew_but_still_waits_its_turn(store):
    FIRST.adopt(store)
    FIRST.train(store, 3)
    other = Task("other", NEW, [FIRST], model="fedncf")
    assert other.last(store, 4) == 3
    assert other.adopt(store, 4).event == CarriedOver("other", (), ("personal", "user"))
    assert store.private("other").pack() == initial_state(other.manifest, store.task_key("other")).pack()
    assert store.contributed("other") == 3


def test_a_task_that_does_not_name_it_carries_nothing(store):
    FIRST.adopt(store)
    FIRST.train(store, 3)
    stranger = Task("stranger", OLD, latent=2, width=3, model="fedncf")
    assert stranger.adopt(store, 4) is None
    assert stranger.last(store, 4) is None
    assert store.private("stranger") is None
    late = Task("late", OLD, [stranger])
    assert late.adopt(store, 5) is None  # the stranger was never trained here


@pytest.mark.parametrize(("number", "last"), [(5, 4), (6, 4), (3, 2), (0, -1)])
def test_a_successor_that_begins_before_the_last_contribution_does_not_wait_for_it(store, number, last):
    FIRST.adopt(store)
    FIRST.train(store, 4)
    assert SECOND.last(store, number) == last
    SECOND.adopt(store, number)
    assert store.contributed("second") == last
    assert SECOND.last(store, number + 9) == last


def test_forgotten_data_does_not_come_back(store):
    FIRST.adopt(store)
    FIRST.train(store, 0)
    SECOND.adopt(store, 1)
    personal = PersonalData(store)
    assert personal.export()["vectors"].keys() == {"first", "second"}
    personal.delete()
    assert SECOND.adopt(store, 2) is None
    assert Task("third", OLD, [SECOND]).adopt(store, 3).state is None
    assert personal.export()["vectors"] == {}
    assert store.contributed("third") == 0


def test_catalogues_are_kept_as_long_as_state_that_needs_them(store):
    def kept():
        rows = store.database.all("SELECT task_id FROM tasks WHERE catalogue IS NOT NULL ORDER BY task_id")
        return [task_id for (task_id,) in rows]

    FIRST.adopt(store)
    assert kept() == ["first"]
    SECOND.adopt(store, 1)  # nothing was trained for the first
    assert kept() == ["second"]
    before, tasks = SECOND, ["second"]
    for number in range(TASKS + 2):
        before.train(store, number + 1)
        before = Task(f"task {number}", OLD if number % 2 else NEW, [before])
        before.adopt(store, number + 2)
        tasks.append(before.name)
    assert kept() == sorted(tasks[-TASKS:])


LATER = [
    *(f"DROP TABLE {name}" for name in ("tasks", "excluded", "personalised", "identities", "participations")),
    "DROP TABLE masked_contributions",
    "DROP TABLE releases",
    "ALTER TABLE staged DROP COLUMN noise",
    *(f"ALTER TABLE {name} DROP COLUMN masked" for name in ("staged", "departures")),
    *(f"ALTER TABLE interactions DROP COLUMN {name}" for name in ("kind", "weight", "value")),
    *(f"ALTER TABLE client DROP COLUMN {name}" for name in ("instance", "recorded")),
]
"""Undoes what came after version 2."""


def test_a_folder_of_an_older_version_carries_over_from_its_current_model(store):
    FIRST.adopt(store)
    before = FIRST.train(store, 2)
    folder = store.folder
    store.close()
    with sqlite3.connect(folder / "state.db") as connection:
        for statement in LATER:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    store = SqliteStore(folder)
    SECOND.adopt(store, 3)
    check(store.private("second"), before, SECOND.manifest, OLD, NEW, store.task_key("second"))
    store.close()


def test_a_lost_catalogue_costs_the_tensors_over_items_only(store):
    FIRST.adopt(store)
    before = FIRST.train(store, 2)
    store.database.write("UPDATE tasks SET catalogue = ?", (b"not zlib",))
    assert SECOND.adopt(store, 3).event == CarriedOver("second", ("user",), ("personal",))
    assert np.array_equal(store.private("second").values["user"], before.values["user"])


def test_older_bundles_name_no_item_axis(store):
    older = Task("older", OLD)
    for tensor in older.manifest.tensors:
        tensor.ClearField("item_axis")
    older.data = older.manifest.SerializeToString(deterministic=True)
    older.blobs = (older.data, *older.blobs[1:])
    older.adopt(store)
    before = older.train(store, 0)
    newer = Task("newer", NEW, [older])
    newer.adopt(store, 1)
    check(store.private("newer"), before, newer.manifest, OLD, NEW, store.task_key("newer"))


def test_no_step_is_lost_between_adopting_and_carrying(store, monkeypatch):
    FIRST.adopt(store)
    FIRST.train(store, 0)
    monkeypatch.setattr(store._lineage, "note", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        SECOND.adopt(store, 1)
    monkeypatch.undo()
    assert (store.model().task_id, store.private("second"), store.contributed("second")) == ("first", None, None)
    assert SECOND.adopt(store, 1).event == CarriedOver("second", ("personal", "user"), ())
