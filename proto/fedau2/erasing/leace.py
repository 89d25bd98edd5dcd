"""The linear map after which classes have one mean (LEACE, arXiv 2306.03819)."""

import numpy as np
from numpy.typing import NDArray

from fedau2 import principal

Matrix = NDArray[np.float64]

_RANK = 1e-9
"""Share of the largest singular value below which a direction counts as empty."""


def removed(covariance: Matrix, gaps: Matrix, shares: Matrix) -> Matrix:
    """Computes W^+ P W transposed, (width, width): the part of `x - mean` to remove is its product with this.

    W whitens, and P projects on the whitened class gaps (theorem 4.3).

    Args:
        covariance: of states, (width, width).
        gaps: mean of each class less the mean of all, (classes, width).
        shares: of the classes among the users, (classes,).
    """
    variances, axes = principal.axes(covariance)
    occupied = variances > _RANK * variances.max()
    roots, axes = np.sqrt(variances[occupied]), axes[:, occupied]
    cross = gaps * shares[:, None]  # covariance of x with each class's indicator
    directions, sizes, _ = np.linalg.svd((cross @ axes / roots).T, full_matrices=False)
    basis = directions[:, sizes > _RANK * sizes.max()]
    return np.asarray((axes / roots) @ basis @ basis.T @ (axes * roots).T)
