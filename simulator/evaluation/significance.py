"""P-values of the attribute attacks on a run, corrected for their number."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from simulator.evaluation.statistics import holm

_NULL = "bacc_null_p95_"


def corrected(metrics: Mapping[str, Any], chances: Mapping[str, float]) -> dict[str, float]:
    """Computes a p-value for each attack that has a null, corrected by Holm's method for all of them.

    The shuffles of a null are too few to count those that reach an attack. So the null is taken for a half-normal
    above chance, whose 95th percentile is that of the shuffles. There an attack alone has the p-value 0.05.

    Args:
        metrics: of a run.
        chances: the balanced accuracy of guessing, by the prefix of the attribute's metrics.

    Returns:
        The p-values by name of the attack's metric, such as `bacc_strong`.
    """
    values: dict[str, float] = {}
    for prefix, chance in chances.items():
        for key in [key for key in metrics if key.startswith(prefix + _NULL)]:
            name = f"{prefix}bacc_{key.removeprefix(prefix + _NULL)}"
            if name in metrics:
                values[name] = _p(metrics[name] - chance, metrics[key] - chance)
    return dict(zip(values, holm(list(values.values())), strict=True))


def _p(above: float, null: float) -> float:
    """Returns the p-value of a success above chance, given its null's 95th percentile above chance."""
    if above <= 0:
        return 1.0
    return math.erfc(NormalDist().inv_cdf(0.975) * above / null / math.sqrt(2)) if null > 0 else 0.0
