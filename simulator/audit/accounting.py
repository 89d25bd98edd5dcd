"""Differential privacy of noise on contributions to an adversary, by dp-accounting (the extra `privacy`)."""

import math
from collections.abc import Iterable, Sequence

from fedau2.v1.task_pb2 import Plan

DELTA = 1e-5
"""Probability with which a promise may fail; it should be well below 1 / clients."""


def epsilon(noise_multipliers: Sequence[float], contributions: int, delta: float = DELTA) -> float:
    """Epsilon of (epsilon, delta) local differential privacy of a client's contributions to some adversaries together.

    Replacing a client's attribute, or all of its data, moves a contribution of norm C by at most 2 C, which noise of
    standard deviation `noise_multiplier` C has to hide. Every adversary gets a contribution in every round, and all of
    them compose. The sampling of cohorts does not help, since the coordinator knows who took part. The analysis is of
    real numbers; float32 noise only comes near it.

    Args:
        noise_multipliers: standard deviation over the clip norm of every adversary, > 0.
        contributions: number of contributions to each of them.
        delta: probability.

    Raises:
        ImportError: dp-accounting is not installed.
    """
    import dp_accounting

    # Gaussian mechanisms together are one with less noise, for which epsilon is exact and needs no discretisation.
    mu = 2 * math.sqrt(contributions * sum(multiplier**-2 for multiplier in noise_multipliers))
    return float(dp_accounting.get_epsilon_gaussian(1 / mu, delta))


def notes(plan: Plan, participations: Iterable[int]) -> Sequence[str]:
    """Sentences on what the plan's noise promises after some contributions; empty where there is no noise."""
    noisy = [adversary for adversary in plan.adversaries if adversary.noise_multiplier]
    if not noisy:
        return []
    noise = f"Noise on contributions to {' and '.join(adversary.name for adversary in noisy)}"
    multipliers = [adversary.noise_multiplier for adversary in noisy]
    try:
        promised = [f"{epsilon(multipliers, n):.3g} after {n}" for n in sorted(participations)]
    except ImportError:
        return [f"{noise}: install fedau2[privacy] to see its epsilon."]
    together = "all of them together, since every contribution has all of them" if noisy[1:] else "them"
    bare = [adversary.name for adversary in plan.adversaries if not adversary.noise_multiplier]
    other = f"the other tensors, those of {' and '.join(bare)} among them" if bare else "the other tensors"
    return [
        f"{noise}: (epsilon, {DELTA:g}) local differential privacy of {together}, with epsilon {', '.join(promised)}. "
        f"It does not cover {other}."
    ]
