"""The bound of contributions that follows the running median of their norms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.aggregation import aggregators, choice, succession
from coordinator.aggregation.aggregators import ClippedMean
from coordinator.aggregation.clip import LEAST, MEDIANS, ROUNDS, Clip
from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.robust import Robust
from coordinator.errors import AggregationError
from fedau2.v1.task_pb2 import AGGREGATION_MEDIAN, ClosingRule
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE, TensorSpec
from fedau2.wire import blobs
from fedau2.wire.succession import Succession

SPECS = {"dense": TensorSpec(name="dense", shape=[1], kind=TENSOR_KIND_DENSE)}
LENGTHS = st.lists(st.floats(2**-10, 1e6, width=32), min_size=1, max_size=9)


def of_length(length):
    return {"dense": np.array([length], np.float32)}


def trained(rounds, clip_norm=1e9, medians=2.0):
    """The server's state after rounds with contributions of such lengths, and the bound of each round."""
    state, bounds = {}, []
    for lengths in rounds:
        clip = Clip(clip_norm, medians, state)
        bounds.append(clip.bound)
        total = ClippedMean(SPECS, clip_norm, medians, state)
        for length in lengths:
            total.add(of_length(length))
        state = state | total.remembered()
    return state, bounds


@given(st.lists(LENGTHS, min_size=1, max_size=ROUNDS + 3))
def test_the_bound_is_so_many_medians_of_the_newest_rounds_medians(rounds):
    state, bounds = trained(rounds)
    assert bounds[0] == 1e9
    medians = [np.median(np.float32(lengths).astype(np.float64)) for lengths in rounds]
    np.testing.assert_allclose(state[MEDIANS], medians[-ROUNDS:], rtol=1e-6)
    assert set(bounds[:LEAST]) == {1e9}, "the liars of one round would choose the bound"
    for number, bound in list(enumerate(bounds))[LEAST:]:
        assert bound == pytest.approx(2 * np.median(medians[max(0, number - ROUNDS) : number]), rel=1e-6)


@given(LENGTHS.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some), st.integers(0, len(some)))))
def test_order_and_shards_change_no_byte(case):
    lengths, permuted, cut = case
    state = {MEDIANS: np.float32([3, 5, 3, 5, 4])}
    whole, parts = ClippedMean(SPECS, 1e9, 2.0, state), [ClippedMean(SPECS, 1e9, 2.0, state) for _ in range(2)]
    for length in lengths:
        whole.add(of_length(length))
    for place, length in enumerate(permuted):
        parts[place < cut].add(of_length(length))
    parts[0].merge(parts[1])
    assert blobs.pack(parts[0].remembered()) == blobs.pack(whole.remembered())
    assert parts[0].mean()["dense"].tobytes() == whole.mean()["dense"].tobytes()


@given(st.floats(1, 1e6, width=32), st.integers(1, ROUNDS // 2))
def test_fewer_than_half_of_the_rounds_cannot_lift_the_bound(lie, poisoned):
    honest, lies = [[1.0] * 3] * (ROUNDS - poisoned), [[lie] * 3] * poisoned
    state, _ = trained([*honest, *lies])
    assert Clip(1e9, 2.0, state).bound == 2.0


def test_no_median_lifts_the_bound_above_the_clip_norm():
    assert Clip(5.0, 10.0, {MEDIANS: np.float32([100] * LEAST)}).bound == 5.0


def test_a_bound_that_is_too_low_recovers():
    """Lengths are measured before contributions are scaled down."""
    state, _ = trained([[0.01]] * ROUNDS + [[4.0]] * ROUNDS)
    assert Clip(1e9, 2.0, state).bound == 8.0


def test_contributions_of_zeros_do_not_bring_the_bound_down():
    state, _ = trained([[0.0, 0.0, 3.0]] * ROUNDS)
    assert Clip(1e9, 2.0, state).bound == 6.0
    assert trained([[0.0, 0.0]] * ROUNDS)[0] == {}


def test_a_refused_contribution_is_not_counted():
    total = ClippedMean(SPECS, 1e9, 2.0)
    with pytest.raises(AggregationError):
        total.add(of_length(math.nan))
    assert total.remembered() == {}
    total.add(of_length(3.0))
    total.reset()
    assert total.remembered() == {}


def test_without_medians_nothing_is_kept(tools):
    total = ClippedMean(SPECS, 5.0)
    total.add(of_length(3.0))
    assert total.remembered() == {}
    task = tools.make_bundle().manifest
    assert aggregators.of(task).remembered() == {}


def test_the_plan_asks_for_it_with_a_mean_and_with_a_median(tools):
    task = tools.make_bundle(clip_norm=1e9).manifest
    task.plan.server.clip_medians = 2.0
    state = {MEDIANS: np.float32([0.5] * LEAST)}
    update = {name: value for name, value in tools.make_updates(0).items() if name == "tower"}
    for rule in (ClosingRule(), ClosingRule(aggregation=AGGREGATION_MEDIAN)):
        total = choice.of(task, rule, state)
        assert isinstance(total, Robust if rule.aggregation else ClippedMean)
        total.add(update)
        assert np.linalg.norm(total.mean()["tower"]) == pytest.approx(1.0, rel=1e-6)
        expected = [*[0.5] * LEAST, np.linalg.norm(update["tower"])]
        assert total.remembered()[MEDIANS] == pytest.approx(expected, rel=1e-6)


def test_the_servers_step_and_a_successor_keep_the_medians(tools):
    old = tools.make_bundle()
    new = old.succeeded([f"movie-{row}" for row in range(7)])
    first, fresh = (blobs.unpack(made.blobs[made.manifest.checkpoint.sha256]) for made in (old, new))
    state = {MEDIANS: np.float32([1, 2])}
    mean = {name: np.ones(value.shape) for name, value in first.items()}
    checkpoint, state = server_step(old.manifest, first, state, mean)
    way = Succession.of([f"movie-{row}" for row in range(6)], [f"movie-{row}" for row in range(7)])
    _, carried = succession.follow(old.manifest, new.manifest, way, checkpoint, state, fresh)
    assert carried[MEDIANS].tolist() == [1, 2]
