"""Logistic regressions of several strengths, on standardised features and on whitened ones, in one computation.

All of them work in the principal axes of the features. There, whitening is nothing but another penalty: that of a
coefficient is then in proportion to the variance along its axis. The curvature of the loss is at most that of a
quadratic function, which the axes make diagonal, so that accelerated gradient steps in its scale converge fast
(Böhning, 1992; Nesterov's momentum with the restart of O'Donoghue and Candès, 2015).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.evaluation.classifiers.batch import Batch, Features, likely

STRENGTHS = (0.003, 0.03, 0.3)
"""C of the regressions on standardised features."""

WHITENED = 0.01
"""C of the regression on whitened features, which comes last."""

EMPTY = 1e-6
"""Smallest spread of standardised features along an axis that the whitened family uses. States are float32, so a
smaller spread may be rounding."""

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


def predict(batch: Batch) -> NDArray[np.int64]:
    """Fits all regressions to standardised features, and predicts: (regressions, B, m)."""
    fitted = fit(batch)
    logits = batch.test @ fitted.coefficients + fitted.intercepts
    outputs = logits.reshape(*logits.shape[:2], len(STRENGTHS) + 1, batch.columns)
    return batch.guesses(np.moveaxis(outputs, 2, 0))


def fit(batch: Batch) -> Regressions:
    """Fits the regressions of all strengths, and last the whitened one, to standardised features."""
    users = batch.train.shape[1]
    _, axes = np.linalg.eigh(batch.train.mT @ batch.train)
    moved = batch.train @ axes
    sizes = np.square(moved).sum(1)[..., None]
    empty = np.sqrt(sizes / users) <= EMPTY
    penalties = [np.full_like(sizes, 1 / strength) for strength in STRENGTHS]
    # An axis that the whitened family may not use costs it everything.
    penalties.append(np.where(empty, np.inf, sizes / users / WHITENED))
    penalty = np.concatenate(penalties, axis=2)
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
        penalty: of each regression, (B, width, regressions); infinite where a coefficient must be 0.

    Returns:
        The coefficients, (B, width, regressions * columns).
    """
    fits, users, width = design.shape
    regressions, columns = penalty.shape[2], targets.shape[2]
    used = np.isfinite(penalty)
    penalty = np.where(used, penalty, 0)
    curvature = 1 / 4 if columns == 1 else 1 / 2
    inverse = used / np.maximum(curvature * sizes + penalty, np.finfo(np.float64).tiny)
    penalty, inverse = (np.repeat(part, columns, axis=2) for part in (penalty, inverse))
    spreads = np.sqrt(sizes / users)
    solution = ahead = np.zeros((fits, width, regressions * columns))
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
