"""The sample of users that is ranked where there are many, and how near its means are to those of all users."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from simulator.evaluation.ranking import Ranks, gains

_SAMPLE_KEY = 0xFEDA10
"""Public: every run on equally many users ranks the same ones."""

_NORMAL = 1.959963984540054
"""Half the width of a 95% interval, in standard errors."""

EVALUATED = "evaluated_users"
"""The metric that says how many users were ranked, where these are a sample."""

INTERVALS = "intervals"
"""The metric with the 95% interval of each metric of ranks, where these are of a sample."""


def users(clients: int, most: int) -> NDArray[np.int64]:
    """Returns the users that are ranked, in order.

    Args:
        clients: number of users.
        most: most users that are ranked; 0: all.
    """
    if not 0 < most < clients:
        return np.arange(clients)
    return np.sort(Generator(Philox(key=[_SAMPLE_KEY, clients])).choice(clients, most, replace=False))


def metrics(ranks: Ranks, clients: int) -> dict[str, Any]:
    """Returns `evaluated_users`, and for each metric of ranks the `intervals` of the mean of all users.

    They are 95% intervals by the normal distribution, for a sample without replacement from so many users. Nothing is
    returned where all users were ranked.
    """
    drawn = len(ranks.full)
    if drawn == clients:
        return {}
    intervals: dict[str, list[float]] = {}
    for suffix, of_users in {"": ranks.sampled, "_full": ranks.full}.items():
        for name, values in {"hr@10": (of_users < 10).astype(np.float64), "ndcg@10": gains(of_users, 10)}.items():
            left_out = (clients - drawn) / (clients - 1)
            error = float(values.std(ddof=1)) * math.sqrt(left_out / drawn) if drawn > 1 else math.inf
            middle = float(values.mean())
            intervals[name + suffix] = [max(0.0, middle - _NORMAL * error), min(1.0, middle + _NORMAL * error)]
    return {EVALUATED: drawn, INTERVALS: intervals}


def sentences(metrics: Mapping[str, Any], clients: int) -> list[str]:
    """Says it for people, given metrics with what `metrics` returns; empty where all users were ranked."""
    if EVALUATED not in metrics:
        return []
    spans = ", ".join(f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in metrics[INTERVALS].items())
    return [
        f"Ranks are of {metrics[EVALUATED]:,} users, a random sample of {clients:,}. The 95% intervals for all users: "
        f"{spans}."
    ]
