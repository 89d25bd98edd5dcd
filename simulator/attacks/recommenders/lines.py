"""Attacks on recommenders whose rows are numbers times one vector of the user's.

A row is `weight * (sigmoid(user . item + bias) - label) * user`, as often as its item is among the samples. So all rows
lie on the user's line, and those of recorded items lie on the side of the fewer. The places of the rows on this line
fit the formula only at the right length of the user's vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from client_sdk.kernel.training import Task
from fedau2 import principal
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import over_items, rows_of

_STEPS = 60
"""Lengths that are tried at once. The neighbours of the best are searched in the same way after it."""

_SEARCHES = 9
_LENGTHS = (0.1, 300.0)
"""Least and largest length that is tried, in units of the length of a typical row at weight 1."""

_SHARES = (0.15, 0.25)
"""Shares of the recorded and of the drawn items whose rows must fit. Others may be cover, or have several samples."""

_ROUNDING = 3e-5
"""Relative difference of a row from the formula that may come from rounding."""

_MAX_REPEATS = 4
"""Upper bound on how often one item is among the samples of a chunk."""


@dataclass(frozen=True, eq=False)
class User:
    """A user as its contribution shows it.

    Attributes:
        vector: (width,).
        bias: the number that is added to all of the user's logits.
        trained: catalogue rows that samples explain, increasing; the others are cover.
    """

    vector: NDArray[np.float32]
    bias: float
    trained: NDArray[np.int64]


def pulls(task: Task, contribution: Contribution, table: str) -> NDArray[np.float32]:
    """Takes the places of a table's rows on the user's line; those of recorded items are below 0."""
    rows = rows_of(contribution, table)
    return over_items(task, rows, _places(rows.values)[1])


def read(task: Task, contribution: Contribution, table: str, *, biased: bool) -> User:
    """Reads a user from the rows of a table.

    Args:
        task: manifest and checkpoint.
        contribution: of one local step.
        table: name of the table.
        biased: True if the user has a bias.
    """
    rows = rows_of(contribution, table)
    line, places = _places(rows.values)
    along = task.shared[table].numpy()[rows.indices].astype(np.float64) @ line
    fits = (_fit(places, along, weight, biased) for weight in _weights(task, places))
    best = min(fits, key=lambda fit: fit.error)
    trained = _explained(best, places, along, task.plan.local.chunk)
    return User((best.length * line).astype(np.float32), best.bias, rows.indices[trained])


def _places(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The user's direction, (width,), and each row's place along it. More items are drawn than recorded."""
    rows = values.astype(np.float64)
    line = principal.axes(rows.T @ rows)[1][:, -1]
    places = rows @ line
    forward = 1.0 if (places < 0).sum() <= (places > 0).sum() else -1.0
    return forward * line, forward * places


def _weights(task: Task, places: NDArray[np.float64]) -> Iterator[float]:
    """The weights that most samples may have: one over the size of a full chunk, or of the only one."""
    local, count = task.manifest.plan.local, int((places < 0).sum())
    samples = 1 + local.negatives
    recorded = range(count, count + 1)
    if local.cover_rows:
        touched = len(places) if len(places) == task.manifest.items else len(places) / (1 + local.cover_rows)
        recorded = range(int(len(places) / (1 + local.cover_rows) / samples), int(1.6 * touched / samples) + 2)
    yield from sorted({1 / min(local.chunk, samples * max(count, 1)) for count in recorded})


@dataclass(frozen=True)
class _Fit:
    """A length and a bias with which the formula fits.

    Attributes:
        weight: of most samples.
        length: of the user's vector.
        bias: of the user's logits.
        error: largest difference of the logits of the rows that must fit.
    """

    weight: float
    length: float
    bias: float
    error: float


def _fit(places: NDArray[np.float64], along: NDArray[np.float64], weight: float, biased: bool) -> _Fit:
    typical = float(np.median(np.abs(places))) / weight
    lengths = np.geomspace(typical * _LENGTHS[0], typical * _LENGTHS[1], _STEPS)
    for _ in range(_SEARCHES):
        biases = _biases(places / weight / lengths[:, None], lengths[:, None] * along)
        # Logits of recorded and of drawn items must agree: where they hardly differ, each side fits any length.
        of_user = np.mean([middle for middle, _ in biases], axis=0) if biased else np.zeros(_STEPS)
        errors = np.nan_to_num(np.max([np.abs(m - of_user) + width for m, width in biases], axis=0), nan=np.inf)
        best = int(errors.argmin())
        fit = _Fit(weight, float(lengths[best]), float(of_user[best]), float(errors[best]))
        lengths = np.geomspace(lengths[max(best - 2, 0)], lengths[min(best + 2, _STEPS - 1)], _STEPS)
    return fit


_Middles = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _biases(parts: NDArray[np.float64], products: NDArray[np.float64]) -> _Middles:
    """The biases that most rows imply on each side of the line, with their spread, both by length.

    Args:
        parts: gradients by logit of single samples, if the length is right, (lengths, rows).
        products: of the user's vector and the items', (lengths, rows).
    """
    sides = zip((parts[0] < 0, parts[0] >= 0), _SHARES, strict=True)
    return [_densest(_logits(parts[:, side]) - products[:, side], share) for side, share in sides if side.sum() > 1]


def _logits(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logits that give gradients, where a recorded item has the label 1. NaN where no logit gives a gradient."""
    shares = np.where(parts < 0, 1 + parts, parts)
    logits: NDArray[np.float64] = logit(np.clip(shares, 0, 1))
    return np.where(np.isfinite(logits), logits, np.nan)


def _densest(numbers: NDArray[np.float64], share: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle and width of the shortest interval with a share of the numbers of each row."""
    ordered = np.sort(numbers, axis=1)
    more = max(1, round(share * numbers.shape[1]) - 1)
    widths = np.nan_to_num(ordered[:, more:] - ordered[:, :-more], nan=np.inf)  # what is not a number is sorted last
    start = widths.argmin(1)
    rows = np.arange(len(numbers))
    return (ordered[rows, start] + ordered[rows, start + more]) / 2, widths[rows, start]


def _explained(fit: _Fit, places: NDArray[np.float64], along: NDArray[np.float64], chunk: int) -> NDArray[np.bool_]:
    """True for the rows whose weight is a sum of those of full chunks and of the last, at the likeliest size of it."""
    logits = fit.length * along + fit.bias
    gradients = np.where(places < 0, -expit(-logits), expit(logits))
    weights = np.divide(places / fit.length, gradients, out=np.zeros_like(places), where=gradients != 0)
    counts = np.arange(_MAX_REPEATS + 1)
    best = np.zeros(len(places), np.bool_)
    for size in range(1, chunk + 1):
        sums = (fit.weight * counts[:, None] + counts / size).ravel()[1:]
        near = (np.abs(weights[:, None] / sums - 1) <= _ROUNDING).any(1)
        best = near if near.sum() > best.sum() else best
    return best
