"""The floor of noise: its size, whose it is, and what it leaves to whoever whitens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from simulator.population.population import ClientKeys
from simulator.unlearning import floor

USERS = 400


def states(seed, users=USERS):
    rng = np.random.default_rng(seed)
    scales = {"a": np.array([1e-4, 1.0, 50.0]), "b": np.full((2, 2), 3.0)}
    return {
        name: (rng.standard_normal((users, *scale.shape)) * scale + 7).astype(np.float32)
        for name, scale in scales.items()
    }


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2))
def test_every_number_gets_its_own_deviations(seed, strength):
    values = states(seed)
    drawn = floor.noise(values, strength, ClientKeys(seed, USERS))
    for name, noise in drawn.items():
        assert noise.dtype == np.float32
        np.testing.assert_allclose(noise.std(0), strength * values[name].std(0), rtol=0.2)
        assert np.abs(noise.mean(0)).max() < strength * values[name].std(0).max() * 5 / USERS**0.5


def test_a_user_has_the_same_noise_each_time_and_other_noise_than_others():
    values, keys = states(0), ClientKeys(3, USERS)
    first, again = (floor.noise(values, 0.3, keys) for _ in range(2))
    for name, noise in first.items():
        np.testing.assert_array_equal(noise, again[name])
        flat = noise.reshape(USERS, -1)
        assert len(np.unique(flat, axis=0)) == USERS
    directions = first["a"][:5] / values["a"].std(0)
    few = floor.noise({name: value[:5] for name, value in values.items()}, 0.3, keys[:5])
    np.testing.assert_allclose(few["a"] / values["a"][:5].std(0), directions, rtol=1e-4)


@pytest.mark.parametrize(("strength", "most"), [(0.0, 1.01), (0.3, 0.65)])
def test_what_a_map_has_shrunk_is_lost_in_the_noise(strength, most):
    """A direction that tells the class is shrunk to a twentieth, and a discriminant undoes that without noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    x = rng.standard_normal((len(labels), 6))
    x[:, 0] = 0.05 * (x[:, 0] + 2 * labels)
    x = (x @ np.linalg.qr(rng.standard_normal((6, 6)))[0]).astype(np.float32)
    x += floor.noise({"x": x}, strength, ClientKeys(0, len(x)))["x"] if strength else 0
    known, guessed = slice(0, 2000), slice(2000, None)
    scores = LinearDiscriminantAnalysis().fit(x[known], labels[known]).decision_function(x[guessed])
    assert (strength or 0.9) < roc_auc_score(labels[guessed], scores) < most
