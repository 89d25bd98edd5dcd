"""Epsilon of the noise of a policy, against an accountant of its own and against published figures."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedau2.wire.secure import privacy

dp_accounting = pytest.importorskip("dp_accounting")
pld, rdp = pytest.importorskip("dp_accounting.pld"), pytest.importorskip("dp_accounting.rdp")

MUS = st.floats(-3, 3).map(lambda exponent: 10**exponent)
DELTAS = st.floats(-12, -0.1).map(lambda exponent: 10**exponent)


@given(MUS, DELTAS)
def test_epsilon_is_that_of_the_gaussian_mechanism(mu, delta):
    expected = dp_accounting.get_epsilon_gaussian(1 / mu, delta)
    assert privacy.epsilon(mu, delta) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("noise", [1.0, 2.5, 8.0])
@pytest.mark.parametrize("count", [1, 6, 60])
def test_composition_is_that_of_dp_accounting(noise, count):
    """Rényi divergences give a bound, and loss distributions nearly the exact epsilon from above."""
    event = dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(noise), count)
    renyi = rdp.RdpAccountant().compose(event)
    losses = pld.PLDAccountant(value_discretization_interval=1e-3).compose(event)
    for delta in (1e-5, 1e-6):
        epsilon = privacy.epsilon(privacy.mu(count, noise), delta)
        assert epsilon <= renyi.get_epsilon(delta)
        assert losses.get_epsilon(delta) == pytest.approx(epsilon, rel=2e-3, abs=2e-3)


@settings(max_examples=20)
@given(st.dictionaries(st.floats(0.3, 20), st.integers(1, 50), min_size=1, max_size=3), DELTAS)
def test_tasks_under_different_noise_add_up(counts, delta):
    event = dp_accounting.ComposedDpEvent(
        [dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(noise), n) for noise, n in counts.items()]
    )
    combined = privacy.combined_mu(counts)
    assert privacy.epsilon(combined, delta) <= rdp.RdpAccountant().compose(event).get_epsilon(delta) * (1 + 1e-9)
    assert combined == pytest.approx(math.sqrt(sum(count / noise**2 for noise, count in counts.items())))
    assert combined >= max(privacy.mu(count, noise) for noise, count in counts.items())


@given(MUS, DELTAS, st.floats(1.01, 10))
def test_less_noise_and_a_smaller_delta_promise_less(mu, delta, factor):
    found = privacy.epsilon(mu, delta)
    assert privacy.epsilon(mu * factor, delta) >= found
    assert privacy.epsilon(mu, delta / factor) >= found


@pytest.mark.parametrize(
    ("contributions", "delta", "figures"),
    [
        (60, 1e-5, {1: 62, 2: 23, 4: 9.6, 8: 4.2, 16: 1.9}),
        (120, 1e-5, {1: 106, 2: 38, 4: 15, 8: 6.3, 16: 2.8}),
        (6, 1e-6, {1: 14, 2: 6.2, 4: 2.8, 8: 1.3, 16: 0.63}),
        (12, 1e-7, {1: 23, 2: 10, 4: 4.6, 8: 2.1, 16: 1.0}),
    ],
)
def test_known_figures(contributions, delta, figures):
    for noise, expected in figures.items():
        assert privacy.epsilon(privacy.mu(contributions, noise), delta) == pytest.approx(expected, rel=0.05)


def test_nothing_sent_tells_nothing_and_no_noise_promises_nothing():
    assert privacy.epsilon(privacy.mu(0, 0), 1e-5) == 0
    assert privacy.epsilon(privacy.mu(0, 4), 1e-5) == 0
    assert privacy.epsilon(privacy.mu(3, 0), 1e-5) == math.inf
    assert privacy.epsilon(1e-3, 0.9) == 0


@pytest.mark.parametrize(
    "refused",
    [
        lambda: privacy.mu(-1, 1),
        lambda: privacy.mu(1, -1),
        lambda: privacy.mu(1, math.nan),
        lambda: privacy.epsilon(-1, 1e-5),
        lambda: privacy.epsilon(math.nan, 1e-5),
        lambda: privacy.epsilon(1, 0),
        lambda: privacy.epsilon(1, 1),
        lambda: privacy.epsilon(1, math.nan),
    ],
)
def test_what_cannot_be_is_refused(refused):
    with pytest.raises(ValueError, match=r"not possible|no epsilon"):
        refused()
