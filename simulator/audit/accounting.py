"""What noise on contributions to an adversary promises, by the accountant of dp-accounting (the extra `privacy`)."""

import math
from collections.abc import Iterable, Sequence

from fedau2.v1.task_pb2 import Plan

DELTA = 1e-5
"""Probability with which a promise may fail; to be well below 1 / clients."""


def epsilon(noise_multiplier: float, contributions: int, delta: float = DELTA) -> float:
    """Epsilon of (epsilon, delta) local differential privacy of a client's contributions to one adversary.

    Whatever is replaced of a client, its attribute or all its data, moves a contribution of norm C by 2 C at most: that
    is what noise of `noise_multiplier` C has to hide. Nothing is gained from the sampling of cohorts, since the
    coordinator knows who took part. The analysis is of real numbers; float32 noise only comes near it.

    Args:
        noise_multiplier: standard deviation over the clip norm, > 0.
        contributions: how many.
        delta: probability.

    Raises:
        ImportError: dp-accounting is not installed.
    """
    import dp_accounting

    # Gaussian mechanisms together are one with less noise, for which epsilon is exact and needs no discretisation.
    return float(dp_accounting.get_epsilon_gaussian(noise_multiplier / 2 / math.sqrt(contributions), delta))


def notes(plan: Plan, participations: Iterable[int]) -> Sequence[str]:
    """What the plan's noise promises after some contributions, in words; nothing where there is no noise."""
    texts = []
    for each in plan.adversaries:
        if not each.noise_multiplier:
            continue
        try:
            promised = [f"{epsilon(each.noise_multiplier, n):.3g} after {n}" for n in sorted(participations)]
        except ImportError:
            texts.append(f"Noise on contributions to {each.name}: install fedau2[privacy] to have its epsilon.")
            continue
        texts.append(
            f"Noise on contributions to {each.name}: (epsilon, {DELTA:g}) local differential privacy of them, with "
            f"epsilon {', '.join(promised)}. It says nothing of the other tensors."
        )
    return texts
