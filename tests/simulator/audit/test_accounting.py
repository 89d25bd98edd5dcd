"""Accounting against the Gaussian mechanism's exact law, and what is said of a plan."""

import math

import pytest
from scipy import stats

from fedau2.v1.task_pb2 import Adversary, Plan
from simulator.audit import accounting

dp_accounting = pytest.importorskip("dp_accounting")


def exact(mu, epsilon):
    """Delta of mu-Gaussian differential privacy (Balle and Wang, 2018)."""
    return stats.norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * stats.norm.cdf(-mu / 2 - epsilon / mu)


@pytest.mark.parametrize(("noise", "contributions"), [(4, 1), (10, 20), (40, 100)])
def test_epsilon_is_that_of_the_gaussian_mechanism(noise, contributions):
    # Contributions together are one Gaussian mechanism of sensitivity 2 sqrt(n) in units of the clip norm.
    mu = 2 * math.sqrt(contributions) / noise
    found = accounting.epsilon([noise], contributions)
    assert exact(mu, found) == pytest.approx(accounting.DELTA, rel=0.05)


def test_more_noise_promises_more_and_more_contributions_less():
    assert accounting.epsilon([8], 5) < accounting.epsilon([4], 5) < accounting.epsilon([4], 10)


def test_what_several_adversaries_get_composes():
    # Two adversaries with the same noise get in n rounds what one gets in 2n.
    assert accounting.epsilon([4, 4], 5) == pytest.approx(accounting.epsilon([4], 10))
    assert accounting.epsilon([4, 1000], 5) == pytest.approx(accounting.epsilon([4], 5), rel=1e-3)
    # mu-Gaussian privacies compose to the root of the sum of squares.
    mu = math.hypot(2 / 3, 2 / 5) * math.sqrt(7)
    assert exact(mu, accounting.epsilon([3, 5], 7)) == pytest.approx(accounting.DELTA, rel=0.05)


def test_the_adversaries_of_private_vectors_are_accounted_for_together():
    parts = [Adversary(name=f"gender-{n}", attribute="gender", clip_norm=1, noise_multiplier=4) for n in range(2)]
    (text,) = accounting.notes(Plan(adversaries=parts), (1, 8))
    assert text.startswith("Noise on contributions to gender-0 and gender-1: ")
    assert f"epsilon {accounting.epsilon([4, 4], 1):.3g} after 1, {accounting.epsilon([4], 16):.3g} after 8" in text
    parts[1].noise_multiplier = 0
    (text,) = accounting.notes(Plan(adversaries=parts), (1,))
    assert f"epsilon {accounting.epsilon([4], 1):.3g} after 1" in text
    assert text.endswith("It does not cover the other tensors, those of gender-1 among them.")


def test_what_is_said_of_a_plan():
    plan = Plan(adversaries=[Adversary(name="gender", clip_norm=1, noise_multiplier=4), Adversary(name="age")])
    (text,) = accounting.notes(plan, (20, 1))
    assert text.startswith("Noise on contributions to gender: (epsilon, 1e-05) local differential privacy of them")
    assert text.index("after 1") < text.index("after 20")
    assert accounting.notes(Plan(adversaries=[Adversary(name="age", clip_norm=1)]), (1,)) == []


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dp_accounting", None)
    plan = Plan(adversaries=[Adversary(name="gender", clip_norm=1, noise_multiplier=4)])
    (text,) = accounting.notes(plan, (1,))
    assert "install fedau2[privacy]" in text
