"""Laws of exact aggregation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coordinator.aggregate import Accumulator
from coordinator.errors import AggregationError
from coordinator.fold import BLOCK
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE, TENSOR_KIND_TABLE, TensorSpec
from fedau2.wire import fixed
from fedau2.wire.contributions import Rows

SPECS = {
    "table": TensorSpec(name="table", shape=[7, 2], kind=TENSOR_KIND_TABLE),
    "dense": TensorSpec(name="dense", shape=[3, 2], kind=TENSOR_KIND_DENSE),
    "rare": TensorSpec(name="rare", shape=[4], kind=TENSOR_KIND_DENSE),
}
VALUES = st.floats(-1e3, 1e3, width=32)


def arrays(*shape):
    return hnp.arrays(np.float32, shape, elements=VALUES)


@st.composite
def rows(draw):
    indices = np.array(sorted(draw(st.sets(st.integers(0, 6)))), np.int64)
    return Rows(indices, draw(arrays(len(indices), 2)))


UPDATES = st.fixed_dictionaries({"table": rows() | arrays(7, 2), "dense": arrays(3, 2)}, optional={"rare": arrays(4)})


def folded(updates):
    total = Accumulator(SPECS)
    for update in updates:
        total.add(update)
    return total


def same(left, right):
    left, right = left.mean(), right.mean()
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)


def as_dense(update):
    if not isinstance(update, Rows):
        return update
    dense = np.zeros((7, 2), np.float32)
    dense[update.indices] = update.values
    return dense


@given(st.lists(UPDATES, max_size=6).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_order_changes_no_byte(case):
    updates, permuted = case
    assert same(folded(updates), folded(permuted))


@given(st.lists(UPDATES, max_size=6), st.integers(0, 6))
def test_shards_merge_to_the_same_bytes(updates, cut):
    shard = folded(updates[:cut])
    shard.merge(folded(updates[cut:]))
    assert same(shard, folded(updates))


@given(st.lists(UPDATES, min_size=1, max_size=6))
def test_the_mean_is_that_of_those_who_carry_the_tensor(updates):
    mean = folded(updates).mean()
    for name in SPECS:
        carried = [as_dense(update[name]) for update in updates if name in update]
        assert (name in mean) == bool(carried)
        if carried:
            np.testing.assert_allclose(mean[name], np.mean(np.float64(carried), axis=0), rtol=0, atol=2.0**-40)


@given(UPDATES)
def test_one_client_is_its_own_mean_on_the_grid(update):
    mean = folded([update]).mean()
    for name, value in update.items():
        assert (mean[name] == np.rint(as_dense(value).astype(np.float64) * 2.0**40) / 2.0**40).all()


@given(UPDATES, st.integers(1, 50))
def test_the_same_contribution_again_and_again_has_the_same_mean(update, times):
    assert same(folded([update] * times), folded([update]))


@given(UPDATES, st.integers(1, 50))
def test_a_sum_of_weight_n_counts_as_n_clients(update, weight):
    once, summed = folded([update]), Accumulator(SPECS)
    # The sum is formed on the grid: what is summed elsewhere in float64 is rounded once and not n times.
    summed.add({name: value * weight for name, value in once.mean().items()}, weight)
    assert same(summed, folded([update] * weight))


def test_each_tensor_may_have_its_own_weight():
    total = Accumulator(SPECS)
    total.add({"dense": np.full((3, 2), 6.0), "rare": np.full(4, 6.0)}, {"dense": 3, "rare": 2})
    mean = total.mean()
    assert (mean["dense"] == 2).all()
    assert (mean["rare"] == 3).all()
    assert "table" not in mean


def test_nothing_added_has_no_mean():
    assert Accumulator(SPECS).mean() == {}


@given(st.lists(UPDATES, min_size=1, max_size=3), st.lists(UPDATES, max_size=3))
def test_reset_forgets_everything(before, after):
    total = folded(before)
    total.reset()
    for update in after:
        total.add(update)
    assert same(total, folded(after))


def test_tensors_larger_than_a_block_are_added_whole():
    specs = {"big": TensorSpec(name="big", shape=[2 * BLOCK + 5])}
    values = np.random.default_rng(0).normal(size=2 * BLOCK + 5).astype(np.float32)
    total = Accumulator(specs)
    total.add({"big": values})
    total.add({"big": values[::-1]})  # not contiguous
    assert (total.mean()["big"] == fixed.mean(fixed.to_fixed(values) + fixed.to_fixed(values[::-1]), 2)).all()


@pytest.mark.parametrize("width", [7, BLOCK // 2, BLOCK // 2 + 1, BLOCK + 1])
def test_tables_larger_than_a_block_are_added_whole(width):
    generator = np.random.default_rng(0)
    taken = np.array([0, 2, 3, 6, 8])
    sums = {
        "table": Rows(taken, generator.normal(size=(5, width)).astype(np.float32)),
        "rare": generator.normal(size=4).astype(np.float32),
    }
    total = Accumulator({"table": TensorSpec(name="table", shape=[9, width]), "rare": SPECS["rare"]})
    total.add(sums)
    expected = np.zeros((9, width), np.int64)
    expected[taken] = fixed.to_fixed(sums["table"].values)
    assert (total.mean()["table"] == fixed.mean(expected, 1)).all()
    assert (total.mean()["rare"] == fixed.mean(fixed.to_fixed(sums["rare"]), 1)).all()


@given(st.integers(1, 1000))
def test_as_many_contributions_as_promised_never_overflow(maximum):
    bound = fixed.bound(maximum)
    largest = np.float32(bound)
    largest = largest if largest <= bound else np.nextafter(largest, np.float32(0))
    total = Accumulator({"rare": SPECS["rare"]})
    for _ in range(maximum):
        total.add({"rare": np.array([largest, -largest, 0, 1], np.float32)})
    np.testing.assert_allclose(total.mean()["rare"][:2], [largest, -largest], rtol=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        np.array([0, np.nan, 0, 0], np.float32),
        np.array([0, np.inf, 0, 0], np.float32),
        np.array([0, 0, 0, -np.inf]),
        np.full(4, 2.0**23),
        np.zeros(1),
        np.zeros((2, 2)),
    ],
)
def test_what_cannot_be_added_is_refused_whole(bad):
    total = Accumulator(SPECS)
    good = {"dense": np.ones((3, 2), np.float32), "rare": np.ones(4, np.float32)}
    total.add(good)
    with pytest.raises(AggregationError, match="rare"):
        total.add({"dense": np.ones((3, 2), np.float32), "rare": bad})
    assert same(total, folded([good]))


def test_sums_that_could_overflow_are_refused():
    total, other = Accumulator(SPECS), Accumulator(SPECS)
    for each in (total, other):
        each.add({"rare": np.full(4, 0.9 * fixed.bound(1))})
    with pytest.raises(AggregationError, match="overflow"):
        total.merge(other)
    with pytest.raises(AggregationError, match="overflow"):
        total.add({"rare": np.full(4, 0.9 * fixed.bound(1))})
    assert (total.mean()["rare"] == 0.9 * fixed.bound(1)).all()
