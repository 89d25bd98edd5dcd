"""Logistic regressions of several strengths, on standardised features and on whitened ones, in one computation.

All of them work in the principal axes of the features. There, whitening is nothing but another penalty: that of a
coefficient is then in proportion to the variance along its axis. The curvature of the loss is at most that of a
quadratic function, which the axes make diagonal, so that accelerated gradient steps in its scale converge fast
(Böhning, 1992; Nesterov's momentum with the restart of O'Donoghue and Candès, 2015).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.evaluation.classifiers.batch import Batch, Features, sigmoid

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
    """Fits all regressions to standardised features, and predicts: (regressions, B, m).

    With more than two classes, there is a regression of each class against all others.
    """
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
    penalty = np.repeat(np.concatenate(penalties, axis=2), batch.columns, axis=2)
    targets = np.tile(batch.targets(), len(penalties))
    # The intercept is a coefficient without a penalty, of a feature that is orthogonal to all others.
    design = np.concatenate([moved, np.ones_like(moved[..., :1])], axis=2)
    penalty = np.concatenate([penalty, np.zeros_like(penalty[:, :1])], axis=1)
    sizes = np.concatenate([sizes, np.full_like(sizes[:, :1], users)], axis=1)
    solution = _solve(design, targets, sizes, penalty)
    return Regressions(axes @ solution[:, :-1], solution[:, -1:])


def _solve(design: Features, targets: Features, sizes: Features, penalty: Features) -> Features:
    """Minimises the sum of logistic losses and half the penalties times the squared coefficients.

    Args:
        design: features that are orthogonal to each other, (B, n, width).
        targets: (B, n, columns), 0 or 1.
        sizes: squared norms of the features, (B, width, 1).
        penalty: (B, width, columns); infinite where a coefficient must be 0.
    """
    used = np.isfinite(penalty)
    penalty = np.where(used, penalty, 0)
    inverse = used / np.maximum(sizes / 4 + penalty, np.finfo(np.float64).tiny)
    spreads = np.sqrt(sizes / design.shape[1])
    solution = ahead = np.zeros_like(penalty)
    momentum = np.ones((len(design), 1, penalty.shape[2]))
    transposed = design.mT
    for _ in range(_STEPS):
        errors = sigmoid(design @ ahead) - targets
        step = inverse * (transposed @ errors + penalty * ahead)
        change = ahead - step - solution
        if float(np.abs(spreads * step).max()) <= _PRECISION:
            return solution + change
        solution = solution + change
        # Where the step points against the last change, momentum has carried too far.
        too_far = (sizes * step * change).sum(1, keepdims=True) > 0
        grown = np.where(too_far, 1, (1 + np.sqrt(1 + 4 * momentum**2)) / 2)
        ahead = solution + np.where(too_far, 0, (momentum - 1) / grown) * change
        momentum = grown
    return solution
