"""What noise on contributions to an adversary promises, by the accountant of dp-accounting (the extra `privacy`)."""

import math
from collections.abc import Iterable, Sequence

from fedau2.v1.task_pb2 import Plan

DELTA = 1e-5
"""Probability with which a promise may fail; to be well below 1 / clients."""


def epsilon(noise_multipliers: Sequence[float], contributions: int, delta: float = DELTA) -> float:
    """Epsilon of (epsilon, delta) local differential privacy of a client's contributions to some adversaries together.

    Whatever is replaced of a client, its attribute or all its data, moves a contribution of norm C by 2 C at most: that
    is what noise of standard deviation `noise_multiplier` C has to hide. Each adversary gets one in every round, and
    all of them compose. Nothing is gained from the sampling of cohorts, since the coordinator knows who took part. The
    analysis is of real numbers; float32 noise only comes near it.

    Args:
        noise_multipliers: of each adversary, standard deviation over the clip norm, > 0.
        contributions: how many to each.
        delta: probability.

    Raises:
        ImportError: dp-accounting is not installed.
    """
    import dp_accounting

    # Gaussian mechanisms together are one with less noise, for which epsilon is exact and needs no discretisation.
    mu = 2 * math.sqrt(contributions * sum(each**-2 for each in noise_multipliers))
    return float(dp_accounting.get_epsilon_gaussian(1 / mu, delta))


def notes(plan: Plan, participations: Iterable[int]) -> Sequence[str]:
    """What the plan's noise promises after some contributions, in words; nothing where there is no noise."""
    noisy = [each for each in plan.adversaries if each.noise_multiplier]
    if not noisy:
        return []
    noise = f"Noise on contributions to {' and '.join(each.name for each in noisy)}"
    multipliers = [each.noise_multiplier for each in noisy]
    try:
        promised = [f"{epsilon(multipliers, n):.3g} after {n}" for n in sorted(participations)]
    except ImportError:
        return [f"{noise}: install fedau2[privacy] to have its epsilon."]
    together = "them, which are in every contribution together" if noisy[1:] else "them"
    bare = [each.name for each in plan.adversaries if not each.noise_multiplier]
    other = f"the other tensors, those of {' and '.join(bare)} among them" if bare else "the other tensors"
    return [
        f"{noise}: (epsilon, {DELTA:g}) local differential privacy of {together}, with epsilon {', '.join(promised)}. "
        f"It says nothing of {other}."
    ]
