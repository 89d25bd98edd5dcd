from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.evaluation.classifiers import boosting
from tests.simulator.evaluation.classifiers.batches import accuracy, batch_of, exclusive, guesses_of, linear, radial


@pytest.mark.parametrize(("signal", "least"), [(linear, 0.85), (radial, 0.8), (exclusive, 0.8)])
def test_every_kind_of_signal_is_read(signal, least):
    batch, expected = batch_of(signal, users=500, width=4)
    assert accuracy(guesses_of(boosting.predict, batch), expected) > least


def test_three_classes_are_told_apart():
    batch, expected = batch_of(users=600, width=4, classes=3)
    assert accuracy(guesses_of(boosting.predict, batch), expected) > 0.85


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_only_the_order_of_a_features_values_counts(seed):
    batch, _ = batch_of(seed=seed, noise=0.3)
    stretched = replace(batch, train=np.exp(batch.train), test=np.exp(batch.test))
    assert np.array_equal(boosting.predict(batch), boosting.predict(stretched))


def test_a_split_leaves_enough_users_on_both_sides():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(2, 60))
    codes = rng.integers(0, boosting.BINS, (2, 60, 3)).astype(np.uint8)
    feature, edge = boosting._split(codes, np.zeros((2, 60), np.int64), 1, errors)
    for fit in range(2):
        best, chosen = -1.0, None
        for number in range(3):
            for last in range(boosting.BINS):
                first = codes[fit, :, number] <= last
                if min(first.sum(), (~first).sum()) >= boosting.FEWEST:
                    gain = sum(errors[fit, part].sum() ** 2 / part.sum() for part in (first, ~first))
                    best, chosen = max((best, chosen), (gain, (number, last)), key=lambda pair: pair[0])
        assert (feature[fit, 0], edge[fit, 0]) == chosen


def test_too_few_users_are_not_split():
    codes = np.arange(30, dtype=np.uint8)[None, :, None]
    nodes, edge = boosting._split(codes, np.zeros((1, 30), np.int64), 1, np.linspace(-1, 1, 30)[None])
    assert nodes.tolist() == [[0]]
    assert edge.tolist() == [[boosting.BINS - 1]]


def test_fits_do_not_depend_on_the_others_of_their_batch():
    batch, _ = batch_of(fits=4, noise=0.3)
    alone = [boosting.predict(batch.only(np.array([fit])))[:, 0] for fit in range(4)]
    assert np.array_equal(boosting.predict(batch), np.stack(alone, axis=1))
