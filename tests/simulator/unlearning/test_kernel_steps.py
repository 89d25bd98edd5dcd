"""Steps that bring classes of one mean to one distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from simulator.datasets import Attribute
from simulator.unlearning import kernel_steps
from simulator.unlearning.kernel_steps import fit
from simulator.unlearning.moments import FOLDS, joint


def ring(seed, count=400, width=4):
    """Users of one class lie around those of the other: no linear attacker reads anything."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 2)
    return rng.normal(size=(count, width)) * np.where(labels == 1, 1.6, 0.7)[:, None], labels


def steps_of(features, labels, seed=0):
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(labels)) % FOLDS
    return fit(features, joint([Attribute(("a", "b"), labels)]), fold, rng)


def moved(steps, features):
    for step in steps:
        features = step(features)
    return features


def read(features, labels):
    return cross_val_score(SVC(C=1.0), features, labels, cv=5, scoring="roc_auc").mean()


def test_what_only_a_kernel_reads_is_gone_for_users_who_took_part_and_less_for_others():
    x, labels = ring(1, 800)
    took_part = np.where(np.arange(800) < 500, labels, -1)
    y = moved(steps_of(x, took_part), x)
    for some, left in ((slice(0, 500), 0.1), (slice(500, None), 0.2)):
        assert read(x[some], labels[some]) > 0.9
        assert abs(read(y[some], labels[some]) - 0.5) < left


@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_where_nothing_differs_steps_end_soon(seed):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(300, 5)), rng.permutation(np.arange(300) % 2)
    assert len(steps_of(x, labels)) < 8


@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_a_step_is_as_long_as_it_says_and_is_undone(seed):
    x, labels = ring(seed, 200)
    first = steps_of(x, labels)[0]
    y = first(x)
    sizes = np.sqrt((((y - x) / first.scale) ** 2).mean(1))
    assert np.exp(np.log(sizes).mean()) == pytest.approx(kernel_steps.LENGTH, rel=1e-3)
    np.testing.assert_allclose(first.inverted(y), x, atol=1e-6)


def test_a_step_is_the_gradient_of_what_the_witnesses_show():
    x, labels = ring(3, 120)
    step = steps_of(x, labels)[0]

    def loss(states):
        return (step.shown(states) ** 2).sum(1) / 2

    gradient = (x - step(x)) / step.length / step.scale
    for number in range(x.shape[1]):
        off = np.zeros(x.shape[1])
        off[number] = 1e-4 * step.scale[number]
        np.testing.assert_allclose((loss(x + off) - loss(x - off)) / 2e-4, gradient[:, number], atol=1e-6)


def test_a_number_that_all_users_share_stays():
    x, labels = ring(5, 200)
    x[:, 2] = 3.0
    np.testing.assert_allclose(moved(steps_of(x, labels), x)[:, 2], 3.0, atol=0.5)
