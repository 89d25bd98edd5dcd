"""Compares the recommendations of groups of users, such as women and men: does a model serve one of them worse?

Every group is compared with the largest one of its attribute. Users who do not tell their attribute are a group of
their own. A group of fewer than `SMALLEST` users has means and no interval, since so few say nothing of others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import NDArray

from simulator.datasets import Attribute
from simulator.evaluation.quality import Quality, Values
from simulator.evaluation.statistics import holm, welch

NOT_TOLD = "not told"
"""The group of the users who do not tell their attribute."""

SMALLEST = 10
"""Fewest users of a group that has intervals."""

RESAMPLES = 1000
"""Resamples of the users of a group for a mean over users."""

LIST_RESAMPLES = 200
"""Samples for a metric of all lists together, each of half as many users as the smallest group has."""

_KEY = 0xFEDA10
"""Public key of the resamples."""
_NUMBERS = 2**21
"""Users drawn at once."""
_TAILS = (2.5, 97.5)

Groups = dict[str, NDArray[np.int64]]
"""The rows of the users of each group, by its name; the largest group is the first."""

Cells = dict[str, dict[str, float]]
"""A metric of each group, by its name."""


def compare(quality: Quality, attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Compares the groups of each attribute by each metric.

    Args:
        quality: of all users.
        attributes: by name, as far as they are known.

    Returns:
        For each attribute `users`, the number of each group, `reference`, the largest group, and `metrics`: the cells
        of `means` and `of_lists` by metric. A cell with `p` also has `p_holm`, which Holm's method corrects for the
        groups of all attributes.
    """
    reports: dict[str, dict[str, Any]] = {}
    for name, attribute in attributes.items():
        groups = groups_of(names_of(attribute))
        reports[name] = {
            "users": {group: len(users) for group, users in groups.items()},
            "reference": next(iter(groups)),
            "metrics": means(quality.of_users, groups) | of_lists(quality, groups),
        }
    for metric in quality.of_users:
        correct([report["metrics"][metric] for report in reports.values()])
    return reports


def correct(metrics: Sequence[Cells]) -> None:
    """Adds `p_holm` to each cell with `p`, corrected for all that are given."""
    cells = [cell for groups in metrics for cell in groups.values() if "p" in cell]
    for cell, p in zip(cells, holm([cell["p"] for cell in cells]), strict=True):
        cell["p_holm"] = p


def intervals(quality: Quality) -> dict[str, list[float]]:
    """Returns the 95% intervals of the means over all users, by the bootstrap."""
    low, high = np.percentile(resampled(_table(quality.of_users), 0), _TAILS, axis=0)
    return {name: [float(low[number]), float(high[number])] for number, name in enumerate(quality.of_users)}


def names_of(attribute: Attribute) -> list[str]:
    """Returns the name of each user's group."""
    rest = NOT_TOLD + "*" * (NOT_TOLD in attribute.classes)
    names = [*attribute.classes, rest]
    return [names[label] for label in attribute.labels.tolist()]  # -1 is the last one


def groups_of(names: Sequence[str]) -> Groups:
    """Returns the users of each group, given the name of each user's group."""
    groups: dict[str, list[int]] = {}
    for user, name in enumerate(names):
        groups.setdefault(name, []).append(user)
    return {
        name: np.array(users) for name, users in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    }


def means(values: Values, groups: Groups) -> dict[str, Cells]:
    """Compares the means of each metric over the users of each group.

    Args:
        values: of each user, by metric.
        groups: of the users.

    Returns:
        For each metric the cell of each group: the `mean`, and where there are enough users `low` and `high`, its 95%
        interval by the bootstrap. A group that is compared with the largest one has also the `gap` to it, which is
        negative where the group's mean is smaller, its interval `gap_low` and `gap_high`, and Welch's `p`.
    """
    table = _table(values)
    draws = {name: resampled(table[groups[name]], number) for number, name in enumerate(_large(groups))}
    report = {}
    for column, metric in enumerate(values):
        of_group = {name: table[users, column] for name, users in groups.items()}
        middles = {name: float(numbers.mean()) for name, numbers in of_group.items()}
        cells = _cells(middles, {name: drawn[:, column] for name, drawn in draws.items()})
        first = next(iter(groups))
        for name, cell in cells.items():
            if "gap" in cell:
                cell["p"] = welch(of_group[name], of_group[first])
        report[metric] = cells
    return report


def of_lists(quality: Quality, groups: Groups) -> dict[str, Cells]:
    """Compares coverage and Gini index of the lists of equally many users of each group.

    More users cover more items. So all figures are of samples of half as many users as the smallest group has that is
    large enough: their mean, their interval, and the gap to the largest group, as in `means` but without a p-value.

    A sample has no user twice, since the lists of a user who is drawn again cover nothing new, which happens most in
    the smallest group. Samples of half a group vary as much as the group would if it were drawn anew.
    """
    large = _large(groups)
    draws: dict[str, list[dict[str, float]]] = {}
    for number, name in enumerate(large):
        rng = Generator(Philox(key=[_KEY + 1, number]))
        size = len(groups[large[-1]]) // 2
        drawn = [rng.choice(groups[name], size, replace=False) for _ in range(LIST_RESAMPLES)]
        draws[name] = [quality.of_lists(users) for users in drawn]
    report = {}
    for metric in quality.of_lists() if large else ():
        of_group = {name: np.array([sample[metric] for sample in samples]) for name, samples in draws.items()}
        report[metric] = _cells({name: float(values.mean()) for name, values in of_group.items()}, of_group)
    return report


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
    drawn_means = []
    for start in range(0, RESAMPLES, block):
        drawn = rng.integers(users, size=(min(block, RESAMPLES - start), users))
        weights = np.stack([np.bincount(row, minlength=users) for row in drawn])
        drawn_means.append(weights @ values / users)
    return np.concatenate(drawn_means)


def _table(values: Values) -> NDArray[np.float64]:
    return np.stack(list(values.values()), axis=1)


def _large(groups: Groups) -> list[str]:
    """Returns the groups with enough users for intervals, the largest first."""
    return [name for name, users in groups.items() if len(users) >= SMALLEST]


def _cells(middles: Mapping[str, float], draws: Mapping[str, NDArray[np.float64]]) -> Cells:
    """Makes the cell of each group: its mean, its interval, and its gap to the first group."""
    first, cells = next(iter(middles)), {}
    for name, middle in middles.items():
        cells[name] = {"mean": middle}
        if name in draws:
            cells[name] |= _interval(draws[name], "")
        if name in draws and name != first:
            gap = {"gap": middle - middles[first]}
            cells[name] |= gap | _interval(draws[name] - draws[first], "gap_")
    return cells


def _interval(draws: NDArray[np.float64], prefix: str) -> dict[str, float]:
    low, high = np.percentile(draws, _TAILS)
    return {f"{prefix}low": float(low), f"{prefix}high": float(high)}
