import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.protocol.values import PrivateState
from fedau2.v1.task_pb2 import Adversary, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import Initializer, TensorSpec
from simulator.errors import ConfigError
from simulator.population.population import Population, client_key

NORMAL = Initializer(distribution=2, scale=0.01)
TASK = TaskManifest(
    tensors=[
        TensorSpec(name="item", shape=[5, 2], scope=1, initializer=NORMAL),
        TensorSpec(name="user", shape=[3], scope=3, initializer=NORMAL),
    ],
    plan=Plan(adversaries=[Adversary(name="a", attribute="gender", classes=["M", "F"])]),
)


def population(clients=6, seed=0):
    genders = [("M", "F", None)[client % 3] for client in range(clients)]
    return Population.create(TASK, seed, [np.array([client % 5]) for client in range(clients)], {"gender": genders})


def test_a_client_starts_the_same_whatever_the_size_of_the_population():
    small, large = population(3), population(6)
    np.testing.assert_array_equal(small.state.values["user"], large.state.values["user"][:3])
    assert set(small.state.values) == {"user"}


def test_keys_differ_by_client_and_by_seed():
    keys = {client_key(seed, client) for seed in range(20) for client in range(20)}
    assert len(keys) == 400
    assert all(len(key) == 16 for key in keys)


@given(st.sets(st.integers(0, 5), min_size=1), st.integers(0, 100))
def test_what_is_put_is_what_is_taken_and_the_rest_stays(members, seed):
    clients, rows = population(), np.array(sorted(members))
    before = clients.take(np.arange(6))
    rng = np.random.default_rng(seed)
    part = {"user": rng.normal(size=(len(rows), 3)).astype(np.float32)}
    clients.put(rows, PrivateState(part, part, part, np.full(len(rows), 7)))
    after = clients.take(np.arange(6))
    others = np.setdiff1d(np.arange(6), rows)
    for name in ("values", "first", "second"):
        np.testing.assert_array_equal(getattr(after, name)["user"][rows], part["user"])
        np.testing.assert_array_equal(getattr(after, name)["user"][others], getattr(before, name)["user"][others])
    assert (after.steps == np.where(np.isin(np.arange(6), rows), 7, 0)).all()


@given(st.lists(st.sampled_from(["M", "F", None, "X", "m"]), min_size=1, max_size=8))
def test_a_value_that_no_class_has_is_refused_before_training(values):
    interactions = [np.array([0])] * len(values)
    if set(values) <= {"M", "F", None}:
        assert len(Population.create(TASK, 0, interactions, {"gender": values})) == len(values)
        return
    strange = next(value for value in values if value in ("X", "m"))
    with pytest.raises(ConfigError, match=f"client {values.index(strange)} has gender '{strange}'.*M, F"):
        Population.create(TASK, 0, interactions, {"gender": values})


def test_an_attribute_that_the_clients_do_not_have_is_refused_before_training():
    with pytest.raises(ConfigError, match=r"'gender'.*they have age"):
        Population.create(TASK, 0, [np.array([0])], {"age": ["young"]})


def test_labels_are_class_numbers_and_unknown_is_minus_one():
    np.testing.assert_array_equal(population().labels(TASK, np.arange(6))["a"], [0, 1, -1, 0, 1, -1])


def test_what_a_client_would_upload_changes_nothing_of_it(observed):
    task, clients = observed(20, head="dsvae")
    before = clients.state.copy().pack()
    first, again = (clients.contribution(task, 3, 5) for _ in range(2))
    assert clients.state.pack() == before
    np.testing.assert_array_equal(first["output.weight"], again["output.weight"])
