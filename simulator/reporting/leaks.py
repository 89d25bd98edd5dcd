"""The attacks on an attribute beside their nulls: the one that reads most, and the difference of two runs."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

Source = Literal["state", "map", "lists"]
"""The source of an attack: private state, what unlearning has published, or recommendations."""

_NULL = "bacc_null_p95_"
_ATTACKERS = {"paper": "the paper's attacker", "strong": "the strong attacker", "largest": "the best of all families"}
_MAPS = {
    "map_inverse": "the strong attacker on the state before the published map",
    "map_statistics": "a guess by the published statistics",
    "map_shifts": "the strong attacker on the state along published shifts",
    "map_witnesses": "a guess by the witnesses of published steps",
    "map_gaps": "a guess by the gaps that class maps leave",
}
_LISTS = {
    "top10": "a linear attacker on 10 recommendations",
    "top50": "a linear attacker on 50 recommendations",
    "top10_seen": "a linear attacker on 10 recommendations with seen items",
    "top50_seen": "a linear attacker on 50 recommendations with seen items",
    "scores": "a linear attacker on scores",
}
_WITHOUT_STATE = ("popular10", "popular50")
"""Attacks that no state takes part in, so that they say nothing of a model."""


@dataclass(frozen=True)
class Leak:
    """An attack on an attribute.

    Attributes:
        attack: its name in words.
        source: its source.
        success: balanced accuracy.
        null: 95th percentile of the same on shuffled labels.
        null_mean: mean of the same; NaN if it is not known.
        p: corrected for the number of attacks; NaN if it is not known.
    """

    attack: str
    source: Source
    success: float
    null: float
    null_mean: float
    p: float

    @property
    def excess(self) -> float:
        """The distance from its null to its success; below 0 if it reads less."""
        return self.success - self.null

    @property
    def leaks(self) -> bool:
        """True if it reads more than the same attack on shuffled labels does in 19 of 20 cases."""
        return self.excess > 0

    @property
    def deviation(self) -> float:
        """Standard deviation of the null, taken from its mean and 95th percentile; NaN if it is not known."""
        return (self.null - self.null_mean) / NormalDist().inv_cdf(0.95)


def leaks_of(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[Leak]:
    """Yields the attacks on an attribute that have a null, those of plug-ins too, on any source.

    Args:
        metrics: of a run.
        prefix: of the attribute's metrics.
    """
    for key in metrics:
        name = key.removeprefix(prefix + _NULL)
        if key.startswith(prefix + _NULL) and name not in _WITHOUT_STATE and (leak := leak_of(metrics, name, prefix)):
            yield leak


def leak_of(metrics: Mapping[str, Any], name: str, prefix: str = "") -> Leak | None:
    """Returns what an attack reads of an attribute, such as `largest_all`; None if it was not made, or has no null."""
    figure, null, mean = (f"{prefix}bacc_{part}{name}" for part in ("", "null_p95_", "null_mean_"))
    if figure not in metrics or null not in metrics:
        return None
    p = metrics.get("p_holm", {}).get(figure, math.nan)
    return Leak(*_named(name), metrics[figure], metrics[null], metrics.get(mean, math.nan), p)


def _named(name: str) -> tuple[str, Source]:
    if name in _MAPS:
        return _MAPS[name], "map"
    if name in _LISTS:
        return _LISTS[name], "lists"
    attacker = name.removesuffix("_all")
    state = "the embedding" if attacker == name else "all private state"
    return f"{_ATTACKERS.get(attacker, f'the attacker {attacker}')} on {state}", "state"


def strongest(leaks: Iterable[Leak]) -> Leak | None:
    """Returns the attack that exceeds its null by most; None without any."""
    return max(leaks, key=lambda leak: leak.excess, default=None)


def change(ours: Leak, theirs: Leak, comparisons: int) -> Literal["more", "less", ""]:
    """Compares what a run leaks with what its Original leaks.

    Both are taken by what they exceed their nulls, and one that exceeds it by nothing leaks nothing. They differ where
    the difference is larger than two draws from the nulls would have in 1 of 20 cases, or in 1 of 20 cases in any of
    the comparisons that are made together.

    Args:
        ours: an attack on the run.
        theirs: an attack on the Original.
        comparisons: number of comparisons that are made together.

    Returns:
        `more` or `less` if the run leaks more or less than the Original; empty if that is not certain, or the spread
        of a null is not known.
    """
    difference = max(0.0, ours.excess) - max(0.0, theirs.excess)
    quantile = NormalDist().inv_cdf(1 - 0.05 / max(1, comparisons))
    if abs(difference) > quantile * math.hypot(ours.deviation, theirs.deviation):
        return "more" if difference > 0 else "less"
    return ""
