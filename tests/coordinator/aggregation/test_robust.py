"""A minority of the senders of a number cannot move it beyond honest values, and the bytes depend on no order."""

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.aggregation import choice, robust
from coordinator.aggregation.aggregators import Mean
from coordinator.aggregation.clip import Clip
from coordinator.aggregation.robust import MEDIAN, Robust
from coordinator.errors import AggregationError
from fedau2.v1.task_pb2 import AGGREGATION_MEDIAN, AGGREGATION_TRIMMED_MEAN, ClosingRule, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE, TENSOR_KIND_TABLE, TensorSpec
from fedau2.wire import fixed
from fedau2.wire.contributions import Rows

SPECS = {
    "table": TensorSpec(name="table", shape=[5, 2], kind=TENSOR_KIND_TABLE),
    "dense": TensorSpec(name="dense", shape=[3], kind=TENSOR_KIND_DENSE),
}
TRIMS = st.sampled_from([float(np.float32(0.1)), 0.25, float(np.float32(0.35)), MEDIAN])


def contribution(seed, scale=1.0, whole=False):
    generator = np.random.default_rng(seed)
    rows = np.arange(5) if whole else np.sort(generator.choice(5, generator.integers(1, 6), replace=False))
    table = Rows(rows, (scale * generator.normal(size=(len(rows), 2))).astype(np.float32))
    return {"table": table, "dense": (scale * generator.normal(size=3)).astype(np.float32)}


def combined(contributions, trim, clip_norm=0.0):
    robust = Robust(SPECS, trim, Clip(clip_norm))
    for each in contributions:
        robust.add(each)
    return robust.mean()


def same(left, right):
    return left.keys() == right.keys() and all((left[name] == right[name]).all() for name in left)


@given(st.integers(1, 12), TRIMS, st.randoms(use_true_random=False))
def test_any_order_and_any_shards_give_the_same_bytes(count, trim, chance):
    sent = [contribution(seed, whole=seed % 3 == 0) for seed in range(count)]
    expected = combined(sent, trim)
    shuffled = chance.sample(sent, count)
    cut = chance.randint(0, count)
    first, second = Robust(SPECS, trim), Robust(SPECS, trim)
    for shard, part in ((first, shuffled[:cut]), (second, shuffled[cut:])):
        for each in part:
            shard.add(each)
    second.merge(first)
    assert same(second.mean(), expected)
    second.reset()
    assert second.mean() == {}
    second.add(sent[0])
    assert same(second.mean(), combined(sent[:1], trim))


@given(st.integers(1, 12), TRIMS)
def test_it_is_numpys_median_or_the_mean_of_what_is_left(count, trim):
    values = np.stack([contribution(seed)["dense"] for seed in range(count)]).astype(np.float64)
    cut = int(Fraction(str(np.float32(trim))) * count)
    plain = np.median(values, 0) if trim == MEDIAN else np.sort(values, 0)[cut : count - cut].mean(0)
    found = combined([contribution(seed) for seed in range(count)], trim)["dense"]
    np.testing.assert_allclose(found, plain, atol=1e-9)


def reference(sent, trim):
    """What the table is, row by row."""
    expected = np.zeros((5, 2))
    for row in range(5):
        values = [each["table"].values[each["table"].indices == row] for each in sent]
        senders = np.concatenate(values).astype(np.float64)
        if len(senders):
            alone = combined([{"dense": np.resize(value, 3).astype(np.float32)} for value in senders], trim)
            expected[row] = alone["dense"][:2] * (len(senders) / len(sent))
    return expected


@given(st.integers(1, 12), TRIMS, st.sampled_from([1, 7, 64]))
def test_rows_are_combined_over_those_who_sent_them_in_blocks_of_any_size(count, trim, size):
    sent = [contribution(seed, whole=seed % 4 == 0) for seed in range(count)]
    whole = combined(sent, trim)
    assert (whole["table"] == reference(sent, trim)).all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(robust, "BLOCK", size)
        assert same(combined(sent, trim), whole)


@given(st.integers(1, 8), TRIMS)
def test_whole_tables_are_combined_as_their_rows_are(count, trim):
    sent = [contribution(seed, whole=True) for seed in range(count)]
    whole = [{**each, "table": each["table"].values} for each in sent]
    assert same(combined(whole, trim), combined(sent, trim))
    assert same(combined([*whole[:1], *sent[1:]], trim), combined(sent, trim))


def test_liars_decide_a_row_that_few_others_send():
    honest = [{"table": Rows(np.array([number % 2]), np.ones((1, 2), np.float32))} for number in range(100)]
    liars = [{"table": Rows(np.array([3]), np.full((1, 2), 1e4, np.float32))} for _ in range(2)]
    assert combined(honest + liars, MEDIAN)["table"][3] == pytest.approx([1e4 * 2 / 102] * 2)


@given(st.integers(0, 1000), st.integers(3, 10))
def test_liars_below_the_trim_stay_within_the_honest_values(seed, honest):
    sent = [contribution(seed + number, whole=True) for number in range(honest)]
    liars = [contribution(9000 + seed + number, scale=1e5, whole=True) for number in range((honest - 1) // 2)]
    found = combined(random.Random(seed).sample(sent + liars, honest + len(liars)), MEDIAN)
    tables = np.stack([each["table"].values for each in sent])
    dense = np.stack([each["dense"] for each in sent])
    for values, of in ((tables, found["table"]), (dense, found["dense"])):
        assert (values.min(0) - 1e-9 <= of).all()
        assert (of <= values.max(0) + 1e-9).all()


@given(st.integers(0, 1000), st.integers(1, 9))
def test_equal_contributions_come_out_as_in_a_mean(seed, count):
    sent, mean = [contribution(seed)] * count, Mean(SPECS)
    for each in sent:
        mean.add(each)
    for name, value in combined(sent, MEDIAN).items():
        np.testing.assert_allclose(value, mean.mean()[name], atol=1e-9)


def test_a_row_counts_by_the_share_of_those_who_sent_it_and_others_are_zero():
    alone = {"table": Rows(np.array([1]), np.full((1, 2), 6, np.float32))}
    others = [{"table": Rows(np.array([3]), np.full((1, 2), number, np.float32))} for number in (1, 2, 90)]
    found = combined([alone, *others], MEDIAN)
    np.testing.assert_array_equal(found["table"], [[0, 0], [1.5, 1.5], [0, 0], [1.5, 1.5], [0, 0]])
    assert "dense" not in found, "nobody sent it"


def test_a_longer_contribution_is_clipped_first():
    found = combined([{"dense": np.array([3, 4, 0], np.float32)}], MEDIAN, clip_norm=1.0)
    np.testing.assert_allclose(found["dense"], [0.6, 0.8, 0])


def test_what_cannot_be_added_is_refused_and_changes_nothing():
    robust = Robust(SPECS, MEDIAN)
    robust.add(contribution(1))
    before = robust.mean()
    wrong = [
        {"dense": np.array([1, np.nan, 0], np.float32)},
        {"dense": np.zeros(4, np.float32)},
        {"table": Rows(np.array([0]), np.zeros((1, 3), np.float32))},
        {"dense": np.full(3, 2 * fixed.bound(1))},
    ]
    for each in wrong:
        with pytest.raises(AggregationError):
            robust.add({**contribution(2), **each})
    assert same(robust.mean(), before)


def test_secure_sums_and_more_memory_than_there_may_be_are_refused():
    median = ClosingRule(maximum=10, aggregation=AGGREGATION_MEDIAN)
    hidden = TaskManifest()
    hidden.secure_sums.SetInParent()
    assert "secure sums" in choice.why_not(hidden, median, 100)
    assert "lower `maximum`" in choice.why_not(TaskManifest(), median, 2**30)
    assert not choice.why_not(TaskManifest(), median, 2**20)
    assert not choice.why_not(hidden, ClosingRule(maximum=10), 2**30)
    trimmed = choice.of(TaskManifest(), ClosingRule(aggregation=AGGREGATION_TRIMMED_MEAN, trim=0.25), {})
    assert isinstance(trimmed, Robust)


@given(st.lists(st.none() | st.sets(st.integers(0, 19)), max_size=12), st.integers(0, 40))
def test_blocks_of_rows_have_few_values_whoever_crowds_into_them(senders, most):
    parts = [robust._Part(None if rows is None else np.array(sorted(rows), np.int64), np.zeros(0)) for rows in senders]
    blocks = list(robust._blocks_of_rows(20, parts, most))
    assert [row for block in blocks for row in range(block.start, block.stop)] == [*range(20)]
    for block in blocks:
        held = sum(rows is None or row in rows for rows in senders for row in range(block.start, block.stop))
        assert held <= most or block.stop == block.start + 1
