"""Lists of items: by definition, and by pairwise differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulator.evaluation import lists

scores = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(3, 12)),
    elements=st.sampled_from([-np.inf, np.nan, -1.0, 0.0, 0.5, 2.0, np.inf]),
)
counted = hnp.arrays(np.int64, st.integers(2, 30), elements=st.integers(0, 50))


@given(scores, st.integers(1, 3))
def test_a_list_has_the_best_items_and_of_equal_ones_the_first(scores, depth):
    listed = lists.best(scores, depth)
    for row, chosen in zip(scores, listed, strict=True):
        ranked = sorted((item for item in range(len(row)) if row[item] > -np.inf), key=lambda item: (-row[item], item))
        expected = [*ranked[:depth], *[lists.NOBODY] * (depth - len(ranked))]
        assert chosen.tolist() == expected


@given(counted)
def test_the_gini_index_is_half_the_relative_mean_difference(counted):
    total = counted.sum()
    if not total:
        assert lists.gini(counted) == 0
        return
    pairs = np.abs(counted[:, None] - counted[None]).sum()
    expected = pairs / (len(counted) * (len(counted) - 1)) / (2 * counted.mean())
    assert lists.gini(counted) == pytest.approx(expected)


def test_one_item_for_all_is_the_least_even_and_covers_least():
    same, spread = np.array([7, 0, 0]), np.array([3, 3, 3])
    assert (lists.gini(same), lists.gini(spread)) == (1, 0)
    assert (lists.coverage(same), lists.coverage(spread)) == (pytest.approx(1 / 3), 1)


def test_an_item_that_every_other_has_is_one_bit_new_and_nobodys_places_count_nothing():
    histories = [np.array([0, 1]), np.array([0])]
    bits = lists.surprise(histories, 3)
    assert bits.tolist() == [0, 1, 1]  # an item that nobody has counts as if one user had it
    listed = np.array([[0, 1], [1, lists.NOBODY], [lists.NOBODY, lists.NOBODY]])
    assert lists.novelty(listed, bits).tolist() == [0.5, 1, 0]
    assert lists.counts(listed, 3).tolist() == [1, 2, 0]
