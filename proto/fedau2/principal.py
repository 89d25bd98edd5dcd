"""Principal axes of symmetric matrices that have no negative eigenvalue, such as covariances."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def axes(matrices: Matrix) -> tuple[Matrix, Matrix]:
    """Returns the eigenvalues, (..., width), in ascending order, and the axes as columns, (..., width, width).

    LAPACK's divide and conquer sometimes does not converge on a singular matrix. The singular vectors are the same
    axes, and their algorithm then takes its place.

    Args:
        matrices: (..., width, width), symmetric, finite, and without a negative eigenvalue.
    """
    try:
        return np.linalg.eigh(matrices)
    except np.linalg.LinAlgError:
        if matrices.ndim > 2:
            values, vectors = zip(*(axes(matrix) for matrix in matrices), strict=True)
            return np.stack(values), np.stack(vectors)
        return _singular(matrices)


def _singular(matrix: Matrix) -> tuple[Matrix, Matrix]:
    vectors, values, _ = np.linalg.svd(matrix)
    return values[::-1], vectors[:, ::-1]
