"""Logistic regressions of several strengths in one computation.

All of them work in the principal axes of the features. The curvature of the loss is at most that of a quadratic
function, which the axes make diagonal, so that accelerated gradient steps in its scale converge fast (Böhning, 1992;
Nesterov's momentum with the restart of O'Donoghue and Candès, 2015).
"""

from dataclasses import dataclass

import numpy as np

from fedau2 import principal
from simulator.evaluation.classifiers.batch import Batch, Features, likely

STRENGTHS = (0.003, 0.03, 0.3)
"""C of the regressions."""

_PRECISION = 1e-8
"""The steps end when none changes a coefficient, times the spread along its axis, by more."""

_STEPS = 1000


@dataclass(frozen=True, eq=False)
class Regressions:
    """Fitted regressions.

    Attributes:
        coefficients: of the features, (B, width, regressions * columns).
        intercepts: (B, 1, regressions * columns).
    """

    coefficients: Features
    intercepts: Features


def predict(batch: Batch) -> Features:
    """Fits all regressions; returns the outputs of the test users, (regressions, B, m, columns)."""
    fitted = fit(batch)
    logits = batch.test @ fitted.coefficients + fitted.intercepts
    return np.moveaxis(logits.reshape(*logits.shape[:2], len(STRENGTHS), batch.columns), 2, 0)


def fit(batch: Batch) -> Regressions:
    """Fits the regressions of all strengths to features of mean 0."""
    users = batch.train.shape[1]
    _, axes = principal.axes(batch.train.mT @ batch.train)
    moved = batch.train @ axes
    sizes = np.square(moved).sum(1)[..., None]
    penalty = np.concatenate([np.full_like(sizes, 1 / strength) for strength in STRENGTHS], axis=2)
    # The intercept is a coefficient without a penalty, of a feature that is orthogonal to all others.
    design = np.concatenate([moved, np.ones_like(moved[..., :1])], axis=2)
    penalty = np.concatenate([penalty, np.zeros_like(penalty[:, :1])], axis=1)
    sizes = np.concatenate([sizes, np.full_like(sizes[:, :1], users)], axis=1)
    solution = _solve(design, batch.targets(), sizes, penalty)
    return Regressions(axes @ solution[:, :-1], solution[:, -1:])


def _solve(design: Features, targets: Features, sizes: Features, penalty: Features) -> Features:
    """Minimises the sum of logistic losses and half the penalties times the squared coefficients.

    Args:
        design: features that are orthogonal to each other, (B, n, width).
        targets: (B, n, columns), 0 or 1.
        sizes: squared norms of the features, (B, width, 1).
        penalty: of each regression, (B, width, regressions).

    Returns:
        The coefficients, (B, width, regressions * columns).
    """
    fits, users, width = design.shape
    regressions, columns = penalty.shape[2], targets.shape[2]
    curvature = 1 / 4 if columns == 1 else 1 / 2
    inverse: Features = 1 / np.maximum(curvature * sizes + penalty, np.finfo(np.float64).tiny)
    penalty, inverse = (np.repeat(part, columns, axis=2) for part in (penalty, inverse))
    spreads = np.sqrt(sizes / users)
    solution: Features = np.zeros((fits, width, regressions * columns))
    ahead = solution
    momentum = np.ones((fits, 1, regressions * columns))
    for _ in range(_STEPS):
        outputs = (design @ ahead).reshape(fits, users, regressions, columns)
        errors = (likely(outputs) - targets[:, :, None]).reshape(fits, users, -1)
        step = inverse * (design.mT @ errors + penalty * ahead)
        change = ahead - step - solution
        if float(np.abs(spreads * step).max()) <= _PRECISION:
            return solution + change
        solution = solution + change
        # Where the step points against the last change, momentum has carried too far.
        along = (sizes * step * change).sum(1).reshape(fits, regressions, columns).sum(2)
        too_far = np.repeat(along > 0, columns, axis=1)[:, None]
        grown = np.where(too_far, 1, (1 + np.sqrt(1 + 4 * momentum**2)) / 2)
        ahead = solution + np.where(too_far, 0, (momentum - 1) / grown) * change
        momentum = grown
    return solution
