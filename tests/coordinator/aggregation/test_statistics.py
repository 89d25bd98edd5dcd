"""The server's step on the statistics of matchings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.aggregation.optimizers import server_step
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.task_pb2 import Matching, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_STATISTIC, TensorSpec

MEANS, MOMENTS, SCALE = "matching.m.means", "matching.m.moments", "matching.m.scale"


def manifest(minimum=10, rate=0.25, secure=0):
    task = TaskManifest(
        plan=Plan(matchings=[Matching(name="m", classes=["a", "b"], protects=["user"], rate=rate, minimum=minimum)]),
        tensors=[
            TensorSpec(name=MEANS, shape=[3, 4], scope=TENSOR_SCOPE_STATISTIC),
            TensorSpec(name=MOMENTS, shape=[2, 2], scope=TENSOR_SCOPE_STATISTIC),
            TensorSpec(name=SCALE, shape=[2], scope=TENSOR_SCOPE_STATISTIC),
        ],
    )
    if secure:
        task.secure_sums.CopyFrom(SecureSums(minimum=secure))
    return task


def checkpoint(seed=0):
    rng = np.random.default_rng(seed)
    one = {SCALE: np.array([1, 0], np.float32)}  # the unit is 1
    return {MEANS: rng.random((3, 4), np.float32), MOMENTS: rng.random((2, 2), np.float32)} | one


def mean_of(counts, members):
    """The mean of a round with so many users of each class, who all have the features 1, 2, 3."""
    shares = np.array(counts)[:, None] / members
    return {
        MEANS: np.concatenate([shares, shares * [[1.0, 2.0, 3.0]]], 1),
        MOMENTS: np.ones((2, 2)),
        SCALE: np.array([1.0, 0.0]),
    }


def test_statistics_are_moving_averages_and_need_no_state():
    before, mean = checkpoint(), mean_of([50, 30, 20], 100)
    after, state = server_step(manifest(), before, {}, mean, members=100)
    assert state == {}
    for name, value in after.items():
        np.testing.assert_allclose(value, 0.75 * before[name] + 0.25 * mean[name], rtol=1e-6)
        assert value.dtype == np.float32


COUNTS = st.lists(st.integers(0, 40), min_size=3, max_size=3).filter(any)


@given(COUNTS, st.integers(1, 20))
def test_a_class_of_too_few_users_changes_nothing_but_its_share(counts, minimum):
    members = sum(counts)
    before = checkpoint()
    after, _ = server_step(manifest(minimum), before, {}, mean_of(counts, members), members=members)
    others = [100 if count < minimum else count for count in counts]
    for row, count in enumerate(counts):
        held = np.float32(0.75) * before[MEANS][row]
        assert np.allclose(after[MEANS][row], held, rtol=1e-6) == (count < minimum or not count), others


def test_without_the_number_of_members_the_policy_bounds_it():
    before, mean = checkpoint(), mean_of([70, 25, 5], 100)
    after, _ = server_step(manifest(10, secure=64), before, {}, mean)
    held = 0.75 * before[MEANS]
    assert not np.allclose(after[MEANS][1], held[1])
    np.testing.assert_allclose(after[MEANS][2], held[2], rtol=1e-6)


def test_a_class_that_dies_out_loses_its_share_and_keeps_its_mean():
    now = checkpoint()
    first = now[MEANS][0].copy()
    for _ in range(40):
        now, _ = server_step(manifest(), now, {}, mean_of([0, 60, 40], 100), members=100)
    assert now[MEANS][0, 0] < 1e-4
    np.testing.assert_allclose(now[MEANS][0, 1:] / now[MEANS][0, 0], first[1:] / first[0], rtol=1e-3)


@pytest.mark.parametrize(("missing", "stay"), [(MEANS, [MEANS, MOMENTS]), (MOMENTS, [MOMENTS]), (SCALE, [SCALE])])
def test_what_no_contribution_carried_stays_and_moments_whose_classes_nobody_tells(missing, stay):
    before, mean = checkpoint(), mean_of([50, 30, 20], 100)
    del mean[missing]
    after, _ = server_step(manifest(), before, {}, mean, members=100)
    unchanged = [name for name in after if np.array_equal(after[name], before[name])]
    assert [name for name in unchanged if name != SCALE or missing == SCALE] == stay


def two_matchings(states):
    """A manifest of two matchings, `m` and `n`, of two classes each, of the states that are named."""
    task = manifest(rate=1.0)
    second = task.plan.matchings.add()
    second.CopyFrom(task.plan.matchings[0])
    second.name, second.protects[:] = "n", [states]
    return task


def round_of(groups):
    """A round in which each matching's users are divided as `groups` says; a user's only feature is its state."""
    users = len(next(iter(groups.values())))
    states = np.random.default_rng(users).normal(size=users)
    features = np.stack([np.ones(users), states], 1)
    mean = {}
    for name, rows in groups.items():
        mean[f"matching.{name}.means"] = np.eye(3)[rows].T @ features / users
        mean[f"matching.{name}.moments"] = features.T @ features / users
        mean[f"matching.{name}.scale"] = np.array([1.0, 0.0])
    return states, mean


def nothing_of(mean):
    """A checkpoint before any round, whose unit is 1."""
    return {
        name: np.array([1, 0], np.float32) if name.endswith(".scale") else np.zeros(value.shape, np.float32)
        for name, value in mean.items()
    }


def readings(published):
    """What a reader makes of each class of matching `m`: its row, and every sum over all users less the other rows."""
    rows, others = published[MEANS], published["matching.n.means"]
    sums = [rows.sum(0), others.sum(0), published[MOMENTS][0], published["matching.n.moments"][0]]
    return [rows, *(total - (rows.sum(0) - rows) for total in sums)]


@given(COUNTS, st.integers(0, 40), st.integers(0, 99))
def test_nothing_that_is_published_has_a_rare_class_when_the_others_are_subtracted(counts, split, seed):
    members = sum(counts)
    split = min(split, members)
    groups = {"m": np.repeat([0, 1, 2], counts), "n": np.repeat([0, 1], [split, members - split])}
    groups["n"] = np.random.default_rng(seed).permutation(groups["n"])
    states, mean = round_of(groups)
    nothing = nothing_of(mean)
    after, _ = server_step(two_matchings("user"), nothing, {}, mean, members=members)
    for row, count in enumerate(counts):
        if 0 < count < 10:
            secret = states[groups["m"] == row].sum() / members
            assert not any(np.isclose(reading[row, 1], secret, rtol=1e-4, atol=0) for reading in readings(after))
    if not any(0 < (groups[name] == row).sum() < 10 for name in "mn" for row in range(3)):
        for name, value in mean.items():
            np.testing.assert_allclose(after[name], value, rtol=1e-5, atol=1e-7)


def test_matchings_of_other_states_go_on():
    groups = {"m": np.repeat([0, 1, 2], [30, 20, 1]), "n": np.repeat([0, 1, 2], [20, 20, 11])}
    _, mean = round_of(groups)
    nothing = nothing_of(mean)
    after, _ = server_step(two_matchings("other"), nothing, {}, mean, members=51)
    assert not after[MOMENTS].any()
    for name in ("matching.n.means", "matching.n.moments"):
        np.testing.assert_allclose(after[name], mean[name], rtol=1e-5)


@pytest.mark.parametrize(("deviation", "moved"), [(2.0, True), (0.01, False)])
def test_a_count_that_noise_alone_makes_holds_no_moments_back(deviation, moved):
    before, mean = checkpoint(), mean_of([70, 35, -5], 100)
    variances = {MEANS: (deviation / 100) ** 2}
    after, _ = server_step(manifest(), before, {}, mean, variances, members=100)
    assert np.array_equal(after[MOMENTS], before[MOMENTS]) != moved


@given(st.floats(-50, 50), st.sampled_from([0, 0.5, 2]))
def test_moments_are_taken_out_of_the_unit_of_the_round(logarithm, users):
    before, mean = checkpoint(), mean_of([50, 30, 20], 100)
    before[SCALE][:] = [users, users * logarithm]
    after, _ = server_step(manifest(rate=1.0), before, {}, mean, members=100)
    unit = np.exp(np.clip(logarithm, -30, 30)) if users > 0 else 0
    np.testing.assert_allclose(after[MOMENTS], [[1, unit], [unit, unit**2]], rtol=1e-4, atol=1e-7)
