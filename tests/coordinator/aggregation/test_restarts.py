"""Which adversaries restart after which round, and what the server's step makes of a restart and of a pass."""

import numpy as np
import pytest

from coordinator.aggregation import restarts
from coordinator.aggregation.optimizers import server_step
from export.bundle import build
from fedau2.wire import blobs, manifest
from tests import plans

PREFIX = manifest.adversary_prefix("gender")


def task_of(*entries, passes=0):
    plan = plans.make("fedncf", *entries, server__passes=passes)
    bundle = build("fedncf", [str(item) for item in range(8)], plan, 0, training=False, serving=False)
    return bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint))


def restarting(count, every, attribute="gender"):
    return [
        {**plans.GENDER, "attribute": attribute, "name": f"{attribute}-{number}", "restart_every": every}
        for number in range(count)
    ]


def due(plan, rounds):
    return [list(restarts.due(plan, number)) for number in range(rounds)]


@pytest.mark.parametrize("passes", [0, 3])
def test_each_restarts_once_in_its_time_and_none_in_a_pass(passes):
    entries = [*restarting(3, 6), *restarting(1, 4, "other"), {**plans.GENDER, "name": "never"}]
    plan, cycle = plans.make("fedncf", *entries, server__passes=passes), passes + 1
    of_round = due(plan, 24 * cycle)
    assert not any(names for number, names in enumerate(of_round) if number % cycle)
    assert of_round[::cycle] == due(plans.make("fedncf", *entries), 24)
    for name, every in (("gender-0", 6), ("gender-1", 6), ("gender-2", 6), ("other-0", 4)):
        steps = [number for number, names in enumerate(of_round[::cycle]) if name in names]
        assert len(steps) == 24 // every
        assert set(np.diff(steps)) == {every}
    assert next(number for number, names in enumerate(of_round[::cycle]) if "gender-0" in names) == 5


def test_those_of_one_attribute_take_turns():
    plan = plans.make("fedncf", *restarting(3, 6))
    assert all(len(names) <= 1 for names in due(plan, 24))


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_a_restart_draws_anew_and_forgets_moments(kind):
    task, start = task_of({**plans.GENDER, "restart_every": 2})
    for optimizer in (task.plan.server.shared, task.plan.server.adversary):
        optimizer.kind = {"adam": 2, "sgd": 1}[kind]
    mean = {name: np.ones(value.shape) for name, value in start.items()}
    before, state = server_step(task, start, {}, mean, round_number=0)
    after, left = server_step(task, before, state, mean, round_number=1)
    plain, kept = server_step(task, before, state, mean, round_number=2)  # no restart after this one
    ours = [name for name in start if name.startswith(PREFIX)]
    assert not any(key.startswith(PREFIX) for key in left)
    for name in ours:
        assert np.array_equal(after[name], server_step(task, before, state, mean, round_number=1)[0][name])
        assert not np.isin(after[name], before[name]).any()
        scale = next(spec.initializer.scale for spec in task.tensors if spec.name == name)
        assert np.abs(after[name]).max() < 6 * scale
    for name in start.keys() - ours:
        assert np.array_equal(after[name], plain[name])
    assert {key for key in kept if not key.startswith(PREFIX)} == left.keys()


def test_each_restart_each_adversary_and_each_task_draws_something_else():
    entries = [{**plans.GENDER, "name": name, "restart_every": 1} for name in ("a", "b")]
    task, start = task_of(*entries)
    other = type(task).FromString(task.SerializeToString())
    other.checkpoint.sha256 = bytes(32)
    drawn = [
        server_step(of, start, {}, {}, round_number=number)[0][f"adversary.{name}.hidden.weight"]
        for of in (task, other)
        for number in (0, 1)
        for name in ("a", "b")
    ]
    assert len({values.tobytes() for values in drawn}) == 8


def test_a_pass_leaves_the_recommender_and_its_moments_whatever_is_sent():
    task, start = task_of(plans.GENDER, passes=2)
    mean = {name: np.ones(value.shape) for name, value in start.items()}
    before, state = server_step(task, start, {}, mean, round_number=3)
    for number in (4, 5):
        after, left = server_step(task, before, state, mean, round_number=number)
        for name in start:
            assert np.array_equal(after[name], before[name]) != name.startswith(PREFIX)
        for key, value in state.items():
            assert np.array_equal(left[key], value) != key.startswith(PREFIX)
