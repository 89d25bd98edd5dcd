import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel

from simulator.errors import ErasureError
from simulator.unlearning.alignment import align, discrepancy
from simulator.unlearning.erasure import erase
from tests.simulator.unlearning.test_optimal_transport import targets, users


def mmd(features, labels, width=1.0):
    """The squared MMD of two classes, by scikit-learn's kernel."""
    kernel = rbf_kernel(features, gamma=1 / (2 * width))
    a, b = labels == 0, labels == 1
    return kernel[a][:, a].mean() + kernel[b][:, b].mean() - 2 * kernel[a][:, b].mean()


@given(seed=st.integers(0, 10**6), width=st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_the_discrepancy_is_the_squared_mmd(seed, width):
    x = np.random.default_rng(seed).normal(size=(30, 4)).astype(np.float32)
    labels = np.repeat([0, 1], [10, 20])
    ours = discrepancy(torch.from_numpy(x), [slice(10), slice(10, 30)], torch.tensor([width]))
    assert ours.item() == pytest.approx(mmd(x, labels, width), rel=1e-3, abs=1e-6)


def test_classes_that_lie_apart_are_brought_together_and_users_keep_their_neighbours():
    features, labels = users(0, 300, 6, gap=1.0, spread=2.0)
    moved = align(features, targets(labels))
    spread = features.std()
    apart, together = (mmd(x / spread, labels, 6.0) for x in (features, moved))
    assert together < 0.1 * apart
    assert np.corrcoef(features.ravel(), moved.ravel())[0, 1] > 0.9


def test_the_classes_of_several_attributes_are_all_brought_together():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    features = rng.normal(size=(300, 4)).astype(np.float32)
    features[:, 0] += first
    features[:, 1] += second
    moved = align(features, targets(first, second))
    for labels in (first, second):
        assert mmd(moved, labels, 4.0) < 0.2 * mmd(features, labels, 4.0)


def test_users_without_a_known_class_stay_and_tensors_keep_their_shapes():
    features, labels = users(1, 200, 6, gap=1.0)
    labels[::5] = -1
    private = {"a": features[:, :4].reshape(200, 2, 2), "b": features[:, 4:]}
    moved, strength = erase(private, targets(labels), "alignment", seed=0)
    assert strength == 1.0
    for name, before in private.items():
        assert moved[name].shape == before.shape
        np.testing.assert_array_equal(moved[name][::5], before[::5])
        assert (moved[name][labels >= 0] != before[labels >= 0]).any()


def test_it_needs_more_users_than_features_and_some_of_every_class():
    features, labels = users(2, 50, 60)
    with pytest.raises(ErasureError, match="needs more than 60 users"):
        align(features, targets(labels))
    features, labels = users(2, 50, 5)
    labels[5:] = 0
    with pytest.raises(ErasureError, match="10 users of every class"):
        align(features, targets(labels))
