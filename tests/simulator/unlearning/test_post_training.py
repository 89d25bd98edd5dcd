import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from simulator.errors import ErasureError
from simulator.unlearning import post_training
from simulator.unlearning.post_training import KINDS, between_distributions, between_users, unlearn
from tests.simulator.unlearning.test_optimal_transport import targets, users


@dataclasses.dataclass
class Indifferent:
    """Orders that no state loses."""

    def loss(self, state, user):
        return 0 * state.sum()


def drawn(seed, sizes, width=4):
    x = np.random.default_rng(seed).normal(size=(sum(sizes), width))
    ends = np.cumsum(sizes)
    return x, [slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]


def mmd(a, b):
    """The squared MMD with the sum of five Gaussians, of all pairs at once."""
    both = np.concatenate([a, b])
    distances = cdist(both, both, "sqeuclidean")
    usual = distances.sum() / (len(both) * (len(both) - 1))
    kernel = sum(np.exp(-distances / (usual / 4 * 2**power)) for power in range(5))
    n = len(a)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(2, 12), min_size=2, max_size=4))
@settings(max_examples=20, deadline=None)
def test_distributions_and_users_are_as_far_apart_as_written_out(seed, sizes):
    x, classes = drawn(seed, sizes)
    tensor, parts = torch.from_numpy(x), [x[part] for part in classes]
    assert between_distributions(tensor, classes).item() == pytest.approx(
        sum(mmd(parts[0], other) for other in parts[1:]), rel=1e-5, abs=1e-9
    )
    pairs = [(a, b) for number, a in enumerate(parts) for b in parts[number + 1 :]]
    assert between_users(tensor, classes).item() == pytest.approx(
        sum(cdist(a, b, "sqeuclidean").sum() for a, b in pairs)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_classes_that_lie_apart_are_brought_together(kind, monkeypatch):
    for name, value in {"STEPS": 100, "RATE": 0.02, "USERS": 1}.items():
        monkeypatch.setattr(post_training, name, value)
    features, labels = users(0, 200, 4, gap=1.0)
    moved = unlearn({"a": features}, targets(labels), kind, Indifferent(), seed=0)["a"]
    a, b = ([x[labels == label] for label in (0, 1)] for x in (features, moved))
    before, after = (np.abs(first.mean(0) - second.mean(0)).max() for first, second in (a, b))
    assert after < 0.5 * before


def test_users_without_a_known_class_stay_and_tensors_keep_their_shapes(monkeypatch):
    monkeypatch.setattr(post_training, "STEPS", 5)
    features, labels = users(1, 100, 6, gap=1.0)
    labels[::5] = -1
    private = {"a": features[:, :4].reshape(100, 2, 2), "b": features[:, 4:]}
    moved = unlearn(private, targets(labels), "d2d", Indifferent(), seed=0)
    for name, before in private.items():
        assert moved[name].shape == before.shape
        np.testing.assert_array_equal(moved[name][::5], before[::5])
        assert (moved[name][labels >= 0] != before[labels >= 0]).any()


def test_it_needs_more_users_than_features():
    features, labels = users(2, 50, 60)
    with pytest.raises(ErasureError, match="needs more than 60 users"):
        unlearn({"a": features}, targets(labels), "d2d", Indifferent(), seed=0)
