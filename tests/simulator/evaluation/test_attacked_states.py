"""The states that are attacked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import NotFiniteError
from simulator.evaluation.attacked_states import AXES, narrow


@given(users=st.integers(3, 20), wider=st.integers(1, 60), seed=st.integers(0, 1000))
def test_narrowing_keeps_the_inner_products_of_standardised_features(users, wider, seed):
    features = np.random.default_rng(seed).standard_normal((users, users + wider)).astype(np.float32)
    features[:, 0] = 3  # never varies
    scaled = (features - features.mean(0)) / np.where(features.std(0) > 0, features.std(0), 1)
    narrowed = narrow([features])
    assert narrowed.shape == (users, users)
    np.testing.assert_allclose(narrowed @ narrowed.T, scaled @ scaled.T, atol=1e-3)


def test_the_principal_axes_of_many_users_remain():
    features = np.random.default_rng(0).standard_normal((300, 400)).astype(np.float32)
    scaled = (features - features.mean(0)) / features.std(0)
    values = np.linalg.eigvalsh(scaled.astype(np.float64) @ scaled.T)
    narrowed = narrow([features]).astype(np.float64)
    assert narrowed.shape == (300, AXES)
    np.testing.assert_allclose((narrowed**2).sum(), values[-narrowed.shape[1] :].sum(), rtol=1e-5)


def test_features_that_are_narrow_are_left_as_they_are():
    features = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    np.testing.assert_array_equal(narrow([features]), features)


def test_diverged_state_is_refused_however_wide_it_is():
    features = np.ones((20, 30), np.float32)
    features[3, 7] = np.inf
    with pytest.raises(NotFiniteError, match="1 users, first of row 3"):
        narrow([features])
