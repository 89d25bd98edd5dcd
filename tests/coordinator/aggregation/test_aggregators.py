"""Laws of exact aggregation. Every aggregator keeps those that take a `kind`: a new one needs a line in `KINDS`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coordinator.aggregation import aggregators
from coordinator.aggregation.aggregators import ClippedMean, Mean
from coordinator.aggregation.clip import LEAST, MEDIANS, norm
from coordinator.aggregation.fold import BLOCK
from coordinator.aggregation.optimizers import server_step
from coordinator.errors import AggregationError
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE, TENSOR_KIND_TABLE, TensorSpec
from fedau2.wire import blobs, fixed
from fedau2.wire.contributions import Rows
from fedau2.wire.plans import MAX_CONTRIBUTIONS

SPECS = {
    "table": TensorSpec(name="table", shape=[7, 2], kind=TENSOR_KIND_TABLE),
    "dense": TensorSpec(name="dense", shape=[3, 2], kind=TENSOR_KIND_DENSE),
    "rare": TensorSpec(name="rare", shape=[4], kind=TENSOR_KIND_DENSE),
}
GRID = 2.0**-40
CLIP_NORM = 10.0


def as_dense(update, rows=7):
    if not isinstance(update, Rows):
        return update
    dense = np.zeros((rows, *update.values.shape[1:]), np.float32)
    dense[update.indices] = update.values
    return dense


def as_it_is(update):
    return {name: as_dense(value).astype(np.float64) for name, value in update.items()}


def clipped(update):
    dense = as_it_is(update)
    length = np.linalg.norm(np.concatenate([value.ravel() for value in dense.values()]))
    return {name: value * min(1, CLIP_NORM / max(length, 1e-300)) for name, value in dense.items()}


@dataclass(frozen=True)
class Kind:
    """An aggregator: how it is made, and as what one contribution counts, computed in another way."""

    make: Callable
    counts_as: Callable


KINDS = {
    "mean": Kind(Mean, as_it_is),
    "clipped mean": Kind(lambda specs: ClippedMean(specs, CLIP_NORM), clipped),
    "bounded by medians": Kind(
        lambda specs: ClippedMean(specs, 4 * CLIP_NORM, 2.0, {MEDIANS: np.float32([CLIP_NORM / 2] * LEAST)}), clipped
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)

VALUES = st.floats(-1e3, 1e3, width=32)


def arrays(*shape, values=VALUES):
    return hnp.arrays(np.float32, shape, elements=values)


@st.composite
def rows(draw):
    indices = np.array(sorted(draw(st.sets(st.integers(0, 6)))), np.int64)
    return Rows(indices, draw(arrays(len(indices), 2)))


UPDATES = st.fixed_dictionaries({"table": rows() | arrays(7, 2), "dense": arrays(3, 2)}, optional={"rare": arrays(4)})
LONG = st.fixed_dictionaries({"table": rows(), "dense": arrays(3, 2, values=st.floats(CLIP_NORM, 1e3, width=32))})
SHORT = st.fixed_dictionaries({"dense": arrays(3, 2, values=st.floats(-4, 4, width=32))})


def folded(total, updates):
    for update in updates:
        total.add(update)
    return total


def merged(kind, *shards):
    total = kind.make(SPECS)
    for shard in shards:
        total.merge(shard)
    return total


def same(left, right):
    left, right = left.mean(), right.mean()
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)


def scaled(update, factor):
    return {
        name: Rows(value.indices, value.values * factor) if isinstance(value, Rows) else value * factor
        for name, value in update.items()
    }


@every_kind
@given(st.lists(UPDATES, max_size=6).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_order_changes_no_byte(kind, case):
    updates, permuted = case
    assert same(folded(kind.make(SPECS), updates), folded(kind.make(SPECS), permuted))


@every_kind
@given(st.lists(st.tuples(st.integers(0, 3), UPDATES), max_size=6), st.permutations(range(4)))
def test_shards_merge_to_the_same_bytes_in_any_order(kind, placed, order):
    shards = [folded(kind.make(SPECS), [each for place, each in placed if place == shard]) for shard in order]
    assert same(merged(kind, *shards), folded(kind.make(SPECS), [each for _, each in placed]))


@every_kind
@given(UPDATES)
def test_one_client_is_its_own_mean_up_to_half_a_grid_step(kind, update):
    mean, expected = folded(kind.make(SPECS), [update]).mean(), kind.counts_as(update)
    assert mean.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(mean[name], value, rtol=1e-14, atol=GRID / 2)


@every_kind
@given(st.lists(UPDATES, min_size=1, max_size=6))
def test_a_contribution_without_a_tensor_does_not_dilute_it(kind, updates):
    mean = folded(kind.make(SPECS), updates).mean()
    counted = [kind.counts_as(update) for update in updates]
    for name in SPECS:
        carried = [each[name] for each in counted if name in each]
        assert (name in mean) == bool(carried)
        if carried:
            np.testing.assert_allclose(mean[name], np.mean(carried, axis=0), rtol=1e-15, atol=GRID)


@every_kind
@given(st.lists(UPDATES, max_size=4))
def test_the_same_contributions_twice_have_the_same_mean(kind, updates):
    assert same(folded(kind.make(SPECS), updates * 2), folded(kind.make(SPECS), updates))


@every_kind
@given(UPDATES, st.integers(1, 50))
def test_the_same_contribution_again_and_again_has_the_same_mean(kind, update, times):
    assert same(folded(kind.make(SPECS), [update] * times), folded(kind.make(SPECS), [update]))


@every_kind
@given(st.lists(UPDATES, max_size=4))
def test_rows_and_the_same_rows_among_zeros_give_the_same_bytes(kind, updates):
    dense = [{name: as_dense(value) for name, value in update.items()} for update in updates]
    assert same(folded(kind.make(SPECS), updates), folded(kind.make(SPECS), dense))


@every_kind
@given(st.lists(UPDATES, min_size=1, max_size=3), st.lists(UPDATES, max_size=3))
def test_reset_forgets_everything(kind, before, after):
    total = folded(kind.make(SPECS), before)
    total.reset()
    assert same(folded(total, after), folded(kind.make(SPECS), after))


@every_kind
def test_an_empty_round_has_no_mean_and_moves_nothing(kind, tools):
    task = tools.make_bundle()
    checkpoint = blobs.unpack(task.blobs[task.manifest.checkpoint.sha256])
    first = {name: np.ones(value.shape) for name, value in checkpoint.items()}
    before = server_step(task.manifest, checkpoint, {}, first)
    after = server_step(task.manifest, *before, kind.make(SPECS).mean())
    assert [blobs.pack(part) for part in after] == [blobs.pack(part) for part in before]


@every_kind
@given(st.integers(1, MAX_CONTRIBUTIONS))
def test_as_many_contributions_as_promised_never_overflow(kind, maximum):
    largest = np.float32(fixed.bound(maximum))
    largest = largest if largest <= fixed.bound(maximum) else np.nextafter(largest, np.float32(0))
    update = {"rare": np.array([largest, -largest, 0, 1], np.float32)}
    total, power = kind.make(SPECS), folded(kind.make(SPECS), [update])
    for bit in range(maximum.bit_length()):  # so many contributions, in shards of 1, 2, 4, ...
        if maximum >> bit & 1:
            total.merge(power)
        if maximum >> bit + 1:
            power = merged(kind, power, power)
    np.testing.assert_allclose(total.mean()["rare"], kind.counts_as(update)["rare"], rtol=1e-6)


@every_kind
@given(LONG)
def test_shards_that_could_overflow_are_refused_and_change_nothing(kind, update):
    total = folded(kind.make(SPECS), [update])
    with pytest.raises(AggregationError, match="overflow"):  # noqa: PT012 - which doubling is refused is not the law
        for _ in range(64):
            before = total
            total = merged(kind, before, before)
    assert same(before, folded(kind.make(SPECS), [update]))
    full = merged(kind, before)
    with pytest.raises(AggregationError, match="overflow"):
        full.merge(before)
    assert same(full, before)


BAD = {
    "NaN": np.array([0, np.nan, 0, 0], np.float32),
    "infinity": np.array([0, np.inf, 0, 0], np.float32),
    "minus infinity": np.array([0, 0, 0, -np.inf], np.float32),
    "too short": np.zeros(1, np.float32),
    "too deep": np.zeros((2, 2), np.float32),
}


@every_kind
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_cannot_be_added_is_refused_whole(kind, bad):
    good = {"dense": np.ones((3, 2), np.float32), "rare": np.ones(4, np.float32)}
    total = folded(kind.make(SPECS), [good])
    with pytest.raises(AggregationError, match="rare"):
        total.add({"dense": np.full((3, 2), 2, np.float32), "rare": bad})
    assert same(total, folded(kind.make(SPECS), [good]))


@every_kind
def test_tensors_larger_than_a_block_are_added_whole(kind):
    values = np.random.default_rng(0).normal(size=2 * BLOCK + 5).astype(np.float32)
    specs = {"big": TensorSpec(name="big", shape=[len(values)])}
    total = folded(kind.make(specs), [{"big": values}, {"big": values[::-1]}])  # the second is not contiguous
    expected = kind.counts_as({"big": values})["big"]
    np.testing.assert_allclose(total.mean()["big"], (expected + expected[::-1]) / 2, rtol=1e-12, atol=GRID)


def test_sums_that_could_overflow_are_refused_and_change_nothing():
    total, most = Mean(SPECS), np.full(4, 0.9 * fixed.bound(1))
    total.add({"rare": most})
    with pytest.raises(AggregationError, match="overflow"):
        total.add({"dense": np.ones((3, 2)), "rare": most})
    assert total.mean().keys() == {"rare"}
    assert (total.mean()["rare"] == most).all()


@given(st.lists(UPDATES, min_size=1, max_size=4))
def test_the_mean_scales_with_the_contributions(updates):
    once = folded(Mean(SPECS), updates).mean()
    twice = folded(Mean(SPECS), [scaled(update, np.float32(2)) for update in updates]).mean()
    for name, value in once.items():
        np.testing.assert_allclose(twice[name], 2 * value, rtol=1e-15, atol=1.5 * GRID)


@given(UPDATES, st.integers(1, 50))
def test_a_sum_of_weight_n_counts_as_n_clients(update, weight):
    once, summed = folded(Mean(SPECS), [update]), Mean(SPECS)
    # The sum is formed on the grid: what is summed elsewhere in float64 is rounded once and not n times.
    summed.add({name: value * weight for name, value in once.mean().items()}, weight)
    assert same(summed, folded(Mean(SPECS), [update] * weight))


def test_each_tensor_of_a_sum_may_have_its_own_weight():
    total = Mean(SPECS)
    total.add({"dense": np.full((3, 2), 6.0), "rare": np.full(4, 6.0)}, {"dense": 3, "rare": 2})
    mean = total.mean()
    assert (mean["dense"] == 2).all()
    assert (mean["rare"] == 3).all()
    assert "table" not in mean


@given(st.lists(LONG, min_size=1, max_size=4), st.integers(1, 20))
def test_the_length_of_long_contributions_changes_no_byte_of_the_clipped_mean(updates, doublings):
    longer = [scaled(update, np.float32(2**doublings)) for update in updates]
    assert same(folded(ClippedMean(SPECS, CLIP_NORM), longer), folded(ClippedMean(SPECS, CLIP_NORM), updates))


@given(st.lists(SHORT, max_size=4))
def test_short_contributions_are_not_clipped(updates):
    assert same(folded(ClippedMean(SPECS, CLIP_NORM), updates), folded(Mean(SPECS), updates))


@given(st.lists(UPDATES, min_size=1, max_size=6))
def test_no_tensor_of_the_clipped_mean_is_longer_than_the_norm(updates):
    mean = folded(ClippedMean(SPECS, CLIP_NORM), updates).mean()
    for value in mean.values():
        assert np.linalg.norm(value) <= CLIP_NORM + np.sqrt(value.size) * GRID


@given(st.lists(LONG, min_size=1, max_size=6))
def test_where_all_carry_the_same_the_clipped_mean_is_no_longer_than_the_norm(updates):
    mean = folded(ClippedMean(SPECS, CLIP_NORM), updates).mean()
    values = np.concatenate([value.ravel() for value in mean.values()])
    assert np.linalg.norm(values) <= CLIP_NORM + np.sqrt(values.size) * GRID


@pytest.mark.parametrize("width", [1, 3, 8, 100, BLOCK // 2 + 1, BLOCK + 1])
def test_the_norm_is_the_same_bytes_in_every_form(width):
    rng = np.random.default_rng(width)
    count = max(4, 3 * BLOCK // (2 * width))
    table = Rows(np.arange(0, 2 * count, 2), rng.normal(size=(count, width)).astype(np.float32))
    forms = [
        {"table": table, "tower": (tower := rng.normal(size=(5, 3)).astype(np.float32))},
        {"tower": tower, "table": as_dense(table, 2 * count)},
        {"tower": np.asfortranarray(tower), "table": Rows(table.indices, np.asfortranarray(table.values))},
    ]
    lengths = {norm(form) for form in forms}
    assert len(lengths) == 1
    flat = np.concatenate([table.values.ravel(), tower.ravel()]).astype(np.float64)
    assert lengths.pop() == pytest.approx(np.sqrt(np.square(flat).sum()), rel=1e-12)


def test_the_plan_chooses_the_aggregator(tools):
    task = tools.make_bundle().manifest
    assert isinstance(aggregators.of(task), Mean)
    task.plan.server.clip_norm = CLIP_NORM
    assert isinstance(aggregators.of(task), ClippedMean)


@pytest.mark.parametrize("width", [7, BLOCK // 2, BLOCK // 2 + 1, BLOCK + 1])
def test_tables_larger_than_a_block_are_added_whole(width):
    generator = np.random.default_rng(0)
    taken = np.array([0, 2, 3, 6, 8])
    sums = {
        "table": Rows(taken, generator.normal(size=(5, width)).astype(np.float32)),
        "rare": generator.normal(size=4).astype(np.float32),
    }
    total = Mean({"table": TensorSpec(name="table", shape=[9, width]), "rare": TensorSpec(name="rare", shape=[4])})
    total.add(sums)
    expected = np.zeros((9, width), np.int64)
    expected[taken] = fixed.to_fixed(sums["table"].values)
    assert (total.mean()["table"] == fixed.mean(expected, 1)).all()
    assert (total.mean()["rare"] == fixed.mean(fixed.to_fixed(sums["rare"]), 1)).all()
