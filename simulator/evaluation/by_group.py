"""Compares the recommendations of groups of users, such as women and men: does a model serve one of them worse?

Every group is compared with the largest one of its attribute. Users who do not tell their attribute are a group of
their own. A group of fewer than `SMALLEST` users has means and no interval, since so few say nothing of others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.evaluation.quality import Quality
from simulator.evaluation.statistics import holm, welch

NOT_TOLD = "(not told)"
"""The group of the users who do not tell their attribute."""

SMALLEST = 10
"""Fewest users of a group that has intervals."""

RESAMPLES = 1000
"""Resamples of the users of a group for a mean over users."""

LIST_RESAMPLES = 200
"""Resamples for a metric of all lists together, each of as many users as the smallest group has."""

_KEY = 0xFEDA10
"""Public key of the resamples."""
_NUMBERS = 2**21
"""Users drawn at once."""
_TAILS = (2.5, 97.5)

Groups = dict[str, NDArray[np.int64]]
"""The rows of the users of each group, by its name; the largest group is the first."""


def compare(quality: Quality, attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Compares the groups of each attribute by each metric.

    Args:
        quality: of all users.
        attributes: by name, as far as they are told.

    Returns:
        For each attribute `users`, the number of each group, `reference`, the largest group, and `metrics`. A metric
        has for each group the `mean`, and where there are enough users `low` and `high`, its 95% interval by the
        bootstrap. A group that is compared with the reference has also the `gap` to it, which is negative where the
        group's value is smaller, its interval `gap_low` and `gap_high`, and for means over users Welch's `p` and
        `p_holm`, which Holm's method corrects for the groups of all attributes. Means of coverage and Gini index are
        over resamples of equally many users of each group.
    """
    reports = {name: _Attribute(quality, groups_of(attribute)).report() for name, attribute in attributes.items()}
    for metric in quality.of_users:
        cells = [cell for report in reports.values() for cell in report["metrics"][metric].values() if "p" in cell]
        for cell, p in zip(cells, holm([cell["p"] for cell in cells]), strict=True):
            cell["p_holm"] = p
    return reports


def intervals(quality: Quality) -> dict[str, tuple[float, float]]:
    """Returns the 95% intervals of the means over all users, by the bootstrap."""
    table = np.stack(list(quality.of_users.values()), axis=1)
    low, high = np.percentile(resampled(table, 0), _TAILS, axis=0)
    return {name: (float(low[n]), float(high[n])) for n, name in enumerate(quality.of_users)}


def groups_of(attribute: Attribute) -> Groups:
    """Returns the groups of an attribute that have users."""
    names = [*attribute.classes, NOT_TOLD]
    groups = {name: np.flatnonzero(attribute.labels == number) for number, name in enumerate(attribute.classes)}
    groups[NOT_TOLD] = np.flatnonzero(attribute.labels < 0)
    names.sort(key=lambda name: -len(groups[name]))  # stable: of equal groups the first class
    return {name: groups[name] for name in names if len(groups[name])}


def resampled(values: NDArray[np.float64], group: int) -> NDArray[np.float64]:
    """Draws means of users with replacement; groups are drawn independently.

    Args:
        values: (users, metrics).
        group: number of the group.

    Returns:
        (resamples, metrics).
    """
    users = len(values)
    rng = Generator(Philox(key=[_KEY, group]))
    block = max(1, _NUMBERS // users)
    means = []
    for start in range(0, RESAMPLES, block):
        drawn = rng.integers(users, size=(min(block, RESAMPLES - start), users))
        weights = np.stack([np.bincount(row, minlength=users) for row in drawn])
        means.append(weights @ values / users)
    return np.concatenate(means)


@dataclass(frozen=True, eq=False)
class _Attribute:
    """The groups of one attribute."""

    quality: Quality
    groups: Groups

    def report(self) -> dict[str, Any]:
        return {
            "users": {name: len(users) for name, users in self.groups.items()},
            "reference": next(iter(self.groups)),
            "metrics": self._means() | self._of_lists(),
        }

    @cached_property
    def _large(self) -> Sequence[str]:
        return [name for name, users in self.groups.items() if len(users) >= SMALLEST]

    def _means(self) -> dict[str, dict[str, dict[str, float]]]:
        names = list(self.quality.of_users)
        table = np.stack([self.quality.of_users[name] for name in names], axis=1)
        values = {group: table[users] for group, users in self.groups.items()}
        draws = {group: resampled(values[group], number) for number, group in enumerate(self._large)}
        report = {}
        for column, name in enumerate(names):
            of_group = {group: numbers[:, column] for group, numbers in values.items()}
            means = {group: float(numbers.mean()) for group, numbers in of_group.items()}
            report[name] = self._cells(means, {group: drawn[:, column] for group, drawn in draws.items()})
            first, *others = of_group
            for group in others:
                if "gap_low" in report[name][group]:
                    report[name][group]["p"] = welch(of_group[group], of_group[first])
        return report

    def _of_lists(self) -> dict[str, dict[str, dict[str, float]]]:
        if not self._large:
            return {}
        size = min(len(self.groups[group]) for group in self._large)
        draws: dict[str, list[dict[str, float]]] = {}
        for number, group in enumerate(self._large):
            rng = Generator(Philox(key=[_KEY + 1, number]))
            drawn = (rng.choice(self.groups[group], size) for _ in range(LIST_RESAMPLES))
            draws[group] = [self.quality.of_lists(users) for users in drawn]
        report = {}
        for name in next(iter(draws.values()))[0]:
            of_group = {group: np.array([metrics[name] for metrics in drawn]) for group, drawn in draws.items()}
            report[name] = self._cells({group: float(drawn.mean()) for group, drawn in of_group.items()}, of_group)
        return report

    def _cells(
        self, means: Mapping[str, float], draws: Mapping[str, NDArray[np.float64]]
    ) -> dict[str, dict[str, float]]:
        """Makes a cell for each group: its mean, its interval, and its gap to the reference."""
        reference = next(iter(self.groups))
        cells: dict[str, dict[str, float]] = {}
        for group, mean in means.items():
            cells[group] = {"mean": mean}
            if group in draws:
                cells[group] |= _interval(draws[group], "")
            if group != reference and group in draws:  # the largest group has draws too
                gaps = draws[group] - draws[reference]
                cells[group] |= {"gap": mean - means[reference]} | _interval(gaps, "gap_")
        return cells


def _interval(draws: NDArray[np.float64], prefix: str) -> dict[str, float]:
    low, high = np.percentile(draws, _TAILS)
    return {f"{prefix}low": float(low), f"{prefix}high": float(high)}
