"""The prior is one, and knows how an upload was defended."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks.contract import Public
from simulator.attacks.prior import Prior


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(2, 3), st.integers(1, 6))
def test_a_prior_has_the_means_and_spread_of_the_public(seed, classes, width):
    rng = np.random.default_rng(seed)
    labels = np.arange(40) % classes
    states = rng.standard_normal((40, width)) + 3 * labels[:, None]
    prior = Prior.fit(Public(states, labels), classes)
    for c in range(classes):
        np.testing.assert_allclose(prior.means[c], states[labels == c].mean(0), rtol=1e-4, atol=1e-6)
    left = states - prior.means.numpy()[labels]
    np.testing.assert_allclose(prior.basis @ prior.basis.T, left.T @ left / 40, atol=1e-4)


def test_latents_are_where_their_states_are():
    rng = np.random.default_rng(0)
    prior = Prior.fit(Public(rng.standard_normal((50, 5)).astype(np.float32), np.arange(50) % 2), 2)
    z = torch.randn(7, prior.basis.shape[1], dtype=torch.float64)
    torch.testing.assert_close(prior.latents(prior.means[1] + z @ prior.basis.T, 1), z)


def test_clipping_does_not_mislead_it_and_noise_does(found):
    defended = {"head": "mlp", "users": 160, "clients": 50}
    clipped = found(["prior", "magnitude"], adversary_clip_norm=0.01, **defended)
    noisy = found(["prior", "magnitude", "embedding"], adversary_clip_norm=0.01, noise_multiplier=30.0, **defended)
    assert clipped["prior", 1].success > 0.95
    assert clipped["magnitude", 1].success == 1.0
    assert noisy["embedding", 1].success == 0.0
    assert max(noisy[name, 1].success for name in ("prior", "magnitude")) < 0.75
