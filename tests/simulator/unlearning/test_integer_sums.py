"""Laws of the integer sums: exact in any order, room in a secure sum, rare classes held back."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.datasets import Attribute
from simulator.unlearning.integer_sums import MINIMUM, Grid, folds, numbers, without_rare
from simulator.unlearning.moments import FOLDS, Moments, joint

seeds = st.integers(0, 10**6)


def users(seed, count, width=5):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width)) * np.exp(rng.normal()) + rng.normal(size=width)
    return features.astype(np.float32), rng.integers(0, 2, count)


def attribute(labels, classes=2):
    return Attribute(tuple(map(str, range(classes))), np.asarray(labels, np.int64))


@given(seed=seeds, count=st.integers(5, 60), pieces=st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_any_order_and_any_pieces_give_the_same_bytes(seed, count, pieces):
    features, labels = users(seed, count)
    grid, targets = Grid.of(features), joint([attribute(labels)])
    integers = grid.rounded(features)
    whole = Moments.of(integers, targets)
    order = np.random.default_rng(seed).permutation(count)
    parts = [Moments.of(integers[some], targets[some]) for some in np.array_split(order, pieces)]
    total = sum(parts[1:], start=parts[0])
    for name in ("total", "counts", "sums", "second"):
        assert getattr(total, name).tobytes() == getattr(whole, name).tobytes()
    assert Grid.of(features[order]) == grid


@given(seed=seeds, count=st.integers(1, 3000), size=st.floats(-25, 25))
@settings(max_examples=30, deadline=None)
def test_every_sum_has_room_in_32_bits_whatever_the_states_are(seed, count, size):
    features = (users(seed, count, width=3)[0] * math.exp(size)).astype(np.float64)
    features[0] *= 1e6  # one device lies about its state
    integers = Grid.of(features).rounded(features)
    assert (integers == np.rint(integers)).all()
    assert np.abs(integers.T @ integers).max() < 2**31
    assert np.abs(integers).sum(0).max() < 2**31


def test_the_moments_are_nearly_those_of_the_states():
    features, labels = users(3, 400)
    targets, fold = joint([attribute(labels)]), np.arange(400) % FOLDS
    found = folds(features, targets, Grid.of(features), fold)
    exact = [Moments.of(features[fold == k], targets[fold == k]) for k in range(FOLDS)]
    for part, expected in zip(found, exact, strict=True):
        assert part.users == expected.users
        np.testing.assert_array_equal(part.counts, expected.counts)
        np.testing.assert_allclose(part.gaps, expected.gaps, atol=0.01 * features.std())
        np.testing.assert_allclose(part.covariance, expected.covariance, atol=0.01 * features.var())


def test_a_state_of_zeros_has_a_grid():
    assert not Grid.of(np.zeros((4, 3), np.float32)).rounded(np.zeros((4, 3))).any()


@given(seed=seeds, few=st.integers(0, MINIMUM - 1))
@settings(max_examples=25, deadline=None)
def test_a_rare_class_is_held_back_with_all_that_its_users_tell(seed, few):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.concatenate([np.repeat([0, 1], 60), np.full(few, 2)]))
    fold = np.zeros(len(labels), np.int64)
    other = rng.integers(0, 2, len(labels))
    left = without_rare({"rare": attribute(labels, 3), "other": attribute(other)}, fold)
    silent = labels == 2
    assert [len(each.classes) for each in left] == [2, 2]
    assert all((each.labels[silent] == -1).all() for each in left)
    np.testing.assert_array_equal(left[0].labels[~silent], labels[~silent])


@pytest.mark.parametrize("labels", [[0] * 40, [-1] * 40, [0] * 40 + [1], [0] * 3 + [1] * 4])
def test_where_fewer_than_two_classes_are_left_there_is_nothing_to_erase(labels):
    assert without_rare({"a": attribute(labels)}, np.zeros(len(labels), np.int64)) == []


def test_a_class_becomes_rare_by_the_users_that_another_one_loses():
    """9 of the 15 users of class 1 of `b` have the rare class of `a`; so too few are left of it."""
    a = np.array([0] * 40 + [1] * 40 + [2] * 9)
    b = np.array([0] * 74 + [1] * 15)
    left = without_rare({"a": attribute(a, 3), "b": attribute(b)}, np.zeros(89, np.int64))
    assert len(left) == 1
    np.testing.assert_array_equal(left[0].labels[:74], a[:74])
    assert (left[0].labels[74:] == -1).all()


def test_a_class_that_misses_a_fold_is_held_back():
    labels = np.repeat([0, 1, 2], 20)
    fold = np.where(labels == 2, 0, np.arange(60) % 2)
    (left,) = without_rare({"a": attribute(labels, 3)}, fold)
    assert len(left.classes) == 2
    assert (left.labels[labels == 2] == -1).all()


def test_what_a_device_adds_up_is_half_of_the_products_and_the_sums_by_class_and_fold():
    assert numbers(3, [2], 5) == 6 + 5 * 2 * 4
