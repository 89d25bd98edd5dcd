"""The sample of users that is ranked where there are many, and how near its means are to those of all users."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

_SAMPLE_KEY = 0xFEDA10
"""Public: every run on equally many users ranks the same ones."""

EVALUATED = "evaluated_users"
"""The metric that says how many users were ranked, where these are a sample."""

_SAID = ("hr@10", "ndcg@10", "hr@10_full", "ndcg@10_full")


def users(clients: int, most: int) -> NDArray[np.int64]:
    """Returns the users that are ranked, in order.

    Args:
        clients: number of users.
        most: most users that are ranked; 0: all.
    """
    if not 0 < most < clients:
        return np.arange(clients)
    return np.sort(Generator(Philox(key=[_SAMPLE_KEY, clients])).choice(clients, most, replace=False))


def metrics(ranked: int, clients: int) -> dict[str, Any]:
    """Returns `evaluated_users`, or nothing where all users were ranked."""
    return {EVALUATED: ranked} if ranked < clients else {}


def sentences(metrics: Mapping[str, Any], clients: int) -> list[str]:
    """Says for people that ranks are of a sample, whose intervals hold for all users; empty where all were ranked."""
    if EVALUATED not in metrics:
        return []
    spans = ", ".join("{} {:.3f} to {:.3f}".format(name, *metrics["intervals"][name]) for name in _SAID)
    return [
        f"Ranks are of {metrics[EVALUATED]:,} users, a random sample of {clients:,}. The 95% intervals for all users: "
        f"{spans}."
    ]
