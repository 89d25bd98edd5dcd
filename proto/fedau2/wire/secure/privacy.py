"""The epsilon that the noise of a policy promises, by the exact law of the Gaussian mechanism.

All tensors of a device's contribution are hidden by one Gaussian mechanism: their clips over their deviations have
squares that add up to 1 / z^2. The promise compares the sums with those without the device. Nothing is gained from
devices being a sample of many, because the coordinator sees who checks in.

The noise is the discrete Gaussian, whose epsilon is this one to many digits for deviations of a step and more.
"""

import math
from collections.abc import Mapping

DELTA = 1e-5
"""Usual probability with which the promise may fail; it is to be well below 1 / devices."""

SERVED_DELTA = 1e-6
"""The same for the epsilon that coordinators show to operators, and devices to their users."""

_FARTHEST = 40.0
"""Deviations beyond which no float64 is left of a normal tail."""

_HALVINGS = 100
_FRACTIONS = 100
_SPLIT = 4.0


def mu(contributions: int, noise_multiplier: float) -> float:
    """Returns the distance between the sums with and without a device, in deviations of their noise.

    Args:
        contributions: most contributions of the device, over all rounds.
        noise_multiplier: z of the policy; 0: there is no noise, and the distance is infinite.

    Raises:
        ValueError: an argument is negative or not a number.
    """
    if contributions < 0 or not noise_multiplier >= 0:
        raise ValueError(f"{contributions} contributions under noise of {noise_multiplier} are not possible")
    if not contributions:
        return 0.0
    return math.sqrt(contributions) / noise_multiplier if noise_multiplier else math.inf


def combined_mu(counts: Mapping[float, int]) -> float:
    """Returns `mu` of contributions to several tasks together: the squares add up.

    Args:
        counts: number of contributions, by noise multiplier.

    Raises:
        ValueError: as for `mu`.
    """
    return math.hypot(*(mu(count, noise) for noise, count in counts.items()))


def epsilon(mu: float, delta: float) -> float:
    """Returns the smallest epsilon of the Gaussian mechanism, exactly (Balle and Wang, arXiv 1805.06530).

    Args:
        mu: see `mu`; the result is infinite if it is.
        delta: above 0 and below 1.

    Raises:
        ValueError: an argument lies elsewhere.
    """
    if not mu >= 0 or not 0 < delta < 1:
        raise ValueError(f"there is no epsilon for mu {mu} and delta {delta}")
    if mu in (0, math.inf):
        return mu
    # The deviation x at which the loss is epsilon: epsilon = mu (x + mu / 2). The delta falls in it.
    low, high, wanted = -mu / 2, _FARTHEST, math.log(delta)
    if _log_delta(low, mu) <= wanted:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_delta(middle, mu) > wanted else (low, middle)
    return mu * (high + mu / 2)


def _log_delta(x: float, mu: float) -> float:
    """Returns the logarithm of P[N > x] - e^epsilon P[N > x + mu]; the second term is phi(x) Q(x + mu)."""
    log_density = -(x * x + math.log(2 * math.pi)) / 2
    if x > 0:
        difference = _tail(x) - _tail(x + mu)
    else:
        log_density, difference = 0.0, math.erfc(x / math.sqrt(2)) / 2 - math.exp(log_density) * _tail(x + mu)
    return log_density + math.log(difference) if difference > 0 else -math.inf


def _tail(x: float) -> float:
    """Returns Q(x) for x >= 0: the share of a normal distribution above x, over its density there."""
    if x < _SPLIT:
        return math.erfc(x / math.sqrt(2)) * math.sqrt(math.pi / 2) * math.exp(x * x / 2)
    value = x
    for number in range(_FRACTIONS, 0, -1):  # Laplace's continued fraction
        value = x + number / value
    return 1 / value
