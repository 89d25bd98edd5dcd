"""Whitening: features that are uncorrelated, and of mean 0 and deviation 1, over all attacked users.

No label takes part, so the users whose classes are to be guessed may take part. An invertible linear map of the state
does no more than rotate its whitened features.
"""

import numpy as np

from fedau2 import principal
from simulator.evaluation.classifiers.batch import Features

EMPTY = 1e-6
"""Smallest spread along a principal axis of the standardised features that counts: states are float32."""

_ROUNDING = 1e-9
"""Smallest spread of a feature, relative to its mean, that is not rounding."""


def whitened(features: Features) -> Features:
    """Returns whitened features, (users, axes), along the principal axes that are not empty; at least one axis."""
    mean, spread = features.mean(0), features.std(0)
    spread[spread <= _ROUNDING * np.abs(mean)] = np.inf
    standard = (features - mean) / spread
    variances, axes = principal.axes(standard.T @ standard / len(standard))
    full = variances > EMPTY**2
    if not full.any():
        return np.zeros((len(features), 1))
    moved: Features = standard @ (axes[:, full] / np.sqrt(variances[full]))
    return moved
