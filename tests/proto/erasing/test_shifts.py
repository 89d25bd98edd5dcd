"""Shifts of classes, of which each band of principal axes has its own strength."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedau2.erasing import shifts

SEEDS = st.integers(0, 2**32 - 1)


def gaps_of(x, labels):
    return np.stack([x[labels == number].mean(0) for number in range(labels.max() + 1)]) - x.mean(0)


def fitted(x, labels, folds=5):
    means = gaps_of(x, labels) + x.mean(0)
    parts = [slice(number, None, folds) for number in range(folds)]
    return shifts.fit(np.cov((x - means[labels]).T), gaps_of(x, labels), [gaps_of(x[p], labels[p]) for p in parts])


def drawn(seed, gap, users=600, width=7, classes=2):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(users) % classes)
    scales = np.linspace(3, 0.1, width)
    return (rng.standard_normal((users, width)) + gap * (labels[:, None] == 0)) * scales, labels


@settings(max_examples=30)
@given(SEEDS, st.integers(2, 4))
def test_a_large_gap_is_closed_in_every_band(seed, classes):
    x, labels = drawn(seed, 2.0, classes=classes)
    before, moved = gaps_of(x, labels), x + fitted(x, labels)[labels]
    assert (np.abs(gaps_of(moved, labels)).max(0) < 0.2 * np.abs(before).max(0)).all()


@settings(max_examples=30)
@given(SEEDS)
def test_classes_alike_are_moved_by_no_more_than_chance(seed):
    x, labels = drawn(seed, 0.0)
    moved = fitted(x, labels)
    assert (np.abs(moved) <= np.abs(gaps_of(x, labels)).max() + 1e-9).all()


@given(SEEDS, st.floats(0.01, 100))
@settings(max_examples=30)
def test_the_unit_of_states_does_not_matter(seed, unit):
    x, labels = drawn(seed, 1.0)
    np.testing.assert_allclose(fitted(x * unit, labels), unit * fitted(x, labels), rtol=1e-6, atol=1e-9 * unit)


@given(SEEDS)
@settings(max_examples=30)
def test_numbers_that_are_the_same_for_all_users_stay(seed):
    x, labels = drawn(seed, 1.0)
    moved = fitted(np.concatenate([x, np.ones((len(x), 2))], 1), labels)
    assert np.abs(moved[:, -2:]).max() < 1e-6


def test_more_axes_than_the_bands_have_are_the_last_band():
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 2
    x = rng.standard_normal((2000, sum(shifts.BANDS) + 5)) + labels[:, None]
    left = gaps_of(x + fitted(x, labels)[labels], labels)
    assert np.linalg.norm(left) < 0.4 * np.linalg.norm(gaps_of(x, labels))
