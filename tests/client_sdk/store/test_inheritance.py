"""The personal state goes on with its items when a relative's first model is adopted, as private state does."""

from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel import fedncf, fedrap
from client_sdk.protocol import succession
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import Model, PrivateState, Staged
from client_sdk.store.personal import PersonalData
from client_sdk.store.personalised import Personalised
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.task_pb2 import LocalUpdate, Optimizer, Plan, ServerStep, TaskManifest
from fedau2.wire import blobs, item_axes, manifest
from fedau2.wire import succession as wire

OLD, NEW = ["a", "b", "c", "d"], ["d", "new", "a", "c"]
PLAN = Plan(
    local=LocalUpdate(steps=1, negatives=4, chunk=128, private_learning_rate=0.1),
    server=ServerStep(shared=Optimizer(kind=1, learning_rate=0.1)),
)
MODELS = {
    "fedncf": lambda items, width: fedncf.tensors(items, fedncf.Widths(gmf=width, mlp=4, hidden=(3,))),
    "fedrap": lambda items, width: fedrap.tensors(items, fedrap.Widths(latent=width)),
}


class Task:
    """A task of a real recommender, without graphs."""

    def __init__(self, name, items, line=(), *, model="fedrap", width=2, checkpoint=0):
        self.name, self.items = name, items
        catalogue = "\n".join(items).encode()
        tensors = blobs.pack({"bias": np.full(1, checkpoint, np.float32)})
        self.manifest = TaskManifest(
            format=2,
            model=model,
            tensors=MODELS[model](len(items), width),
            plan=PLAN,
            items=len(items),
            catalogue=blobs.resource(catalogue),
            checkpoint=blobs.resource(tensors),
            ancestors=line,
        )
        if model == "fedrap":
            self.manifest.plan.parameters["mu"] = 0.1
        self.data = self.manifest.SerializeToString(deterministic=True)
        self.line = wire.ancestors(self.data)
        self.blobs = (self.data, catalogue, tensors)

    def adopt(self, store, number=0, name=None):
        for data in self.blobs:
            store.keep_blob(blobs.resource(data), data)
        model = Model(name or self.name, number, blobs.resource(self.data), self.manifest.checkpoint)
        store.adopt(model, succession.carry(store, model, self.manifest))

    def state(self, steps):
        rng = np.random.default_rng(steps)
        parts = [
            {each.name: rng.normal(size=(1, *each.shape)).astype(np.float32) for each in self.private()}
            for _ in range(3)
        ]
        return PrivateState(*parts, np.array([steps], np.int64))

    def private(self):
        return manifest.private(self.manifest)

    def personalise(self, store, steps=7, name=None):
        state = self.state(steps)
        store.personalised.keep(name or self.name, Personalised(steps, state, ("gender",), b"checkpoint", 3))
        return state


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore(tmp_path / "state")) as opened:
        yield opened


def check(store, name, before, old, new):
    """The numbers of items that both tasks list are those of before, and the others the new task's own."""
    now, fresh = store.personalised.get(name), initial_state(new.manifest, store.task_key(name))
    assert now.attributes == ("gender",)
    assert (now.steps, now.checkpoint, now.recorded) == (0, b"", 0)
    assert now.state.steps == before.steps
    for part in ("values", "first", "second"):
        mine, theirs, anew = (getattr(state, part) for state in (now.state, before, fresh))
        for spec in new.private():
            if item_axes.of(spec) is None:
                assert np.array_equal(mine[spec.name], theirs[spec.name])
                continue
            for row, item in enumerate(new.items):
                known = theirs[spec.name][0, old.items.index(item)] if item in old.items else anew[spec.name][0, row]
                assert np.array_equal(mine[spec.name][0, row], known)


catalogues = st.lists(st.integers(0, 9).map(str), min_size=1, max_size=6, unique=True)


@settings(deadline=None, max_examples=20)
@given(catalogues, catalogues, st.sampled_from(sorted(MODELS)), st.booleans())
def test_every_number_follows_its_item(tmp_path_factory, before, after, model, contributed):
    old = Task("old", before, model=model)
    new = Task("new", after, old.line, model=model, checkpoint=1)
    with closing(SqliteStore(tmp_path_factory.mktemp("state"))) as store:
        old.adopt(store)
        if contributed:
            store.stage(Staged(bytes(16), "old", 0, b"contribution", old.state(2)))
            store.promote(bytes(16))
        state = old.personalise(store)
        new.adopt(store, 1)
        check(store, "new", state, old, new)
        served = store.personalised.served("new", store.private("new"))
        assert served.pack() == store.personalised.get("new").state.pack()
        assert store.personalised.get("old").state.pack() == state.pack()  # so that the operator may go back


FIRST = Task("first", OLD)
EXPORTED = Task("exported", OLD, FIRST.line, checkpoint=1)


@pytest.mark.parametrize(
    ("starter", "real"),
    [
        (FIRST, FIRST),
        (FIRST, Task("second", NEW, FIRST.line)),
        (EXPORTED, FIRST),
        (EXPORTED, Task("second", NEW, FIRST.line)),
        (EXPORTED, Task("third", NEW, [bytes(32), *FIRST.line])),
    ],
    ids=["itself", "its successor", "the task it was exported from", "that one's successor", "a later one"],
)
def test_the_starters_state_goes_on_in_a_relative(store, starter, real):
    starter.adopt(store, name="starter")
    state = starter.personalise(store, name="starter")
    real.adopt(store, 5)
    check(store, real.name, state, starter, real)


def test_versions_that_the_device_missed_are_passed_over(store):
    FIRST.adopt(store)
    state = FIRST.personalise(store)
    missed = Task("missed", NEW, FIRST.line)
    third = Task("third", ["c", "x"], missed.line)
    third.adopt(store, 9)
    check(store, "third", state, FIRST, third)


def test_a_state_survives_a_task_that_it_does_not_fit(store):
    FIRST.adopt(store)
    state = FIRST.personalise(store)
    wider = Task("wider", NEW, FIRST.line, width=5)
    wider.adopt(store, 1)
    assert store.personalised.get("wider").state is None
    back = Task("back", NEW, wider.line)
    back.adopt(store, 2)
    check(store, "back", state, FIRST, back)


def test_strangers_and_other_recommenders_inherit_nothing(store):
    FIRST.adopt(store)
    FIRST.personalise(store)
    for other in (Task("stranger", NEW), Task("other", NEW, FIRST.line, model="fedncf")):
        other.adopt(store, 1)
        assert store.personalised.tasks() == ("first",)


def test_what_a_task_has_of_its_own_stays_and_numbers_of_steps_never_shrink(store):
    FIRST.adopt(store)
    FIRST.personalise(store)
    second = Task("second", NEW, FIRST.line)
    store.personalised.keep("second", Personalised(40))
    second.adopt(store, 1)
    assert store.personalised.get("second").steps == 40
    assert store.personalised.get("second").state is not None
    own = second.personalise(store, 50)
    FIRST.adopt(store, 2)
    second.adopt(store, 3)
    assert store.personalised.get("second").state.pack() == own.pack()


def test_nothing_that_was_forgotten_comes_back(store):
    FIRST.adopt(store)
    FIRST.personalise(store)
    PersonalData(store).forget_attribute("gender")
    Task("second", NEW, FIRST.line).adopt(store, 1)
    assert store.personalised.tasks() == ()
