import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.evaluation.classifiers import whitening


def rotated(width, rng):
    return np.linalg.qr(rng.normal(size=(width, width)))[0]


@given(seed=st.integers(0, 2**31 - 1), width=st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_whitened_features_are_uncorrelated_and_a_linear_map_only_rotates_them(seed, width):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(80, width))
    mapped = (x - 5) @ rotated(width, rng) * np.geomspace(1, 0.01, width) @ rotated(width, rng)
    white, other = (whitening.whitened(features.astype(np.float32).astype(float)) for features in (x, mapped))
    assert white.T @ white / 80 == pytest.approx(np.eye(width), abs=1e-6)
    assert white @ white.T == pytest.approx(other @ other.T, abs=1e-2)


@pytest.mark.parametrize("width", [3, 40])
def test_features_that_do_not_vary_or_repeat_others_are_left_out(width):
    x = np.random.default_rng(0).normal(size=(30, width))
    beside = np.concatenate([x, x, np.full_like(x, 0.1)], axis=1)
    white, other = whitening.whitened(x), whitening.whitened(beside)
    assert white.shape == other.shape == (30, min(width, 29))
    assert white @ white.T == pytest.approx(other @ other.T, abs=1e-6)


def test_a_state_that_is_the_same_for_all_users_has_nothing_in_it():
    assert not whitening.whitened(np.full((30, 4), 0.1)).any()
