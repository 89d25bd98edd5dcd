"""The rows of a sum that too few devices touched, which stay closed."""

import numpy as np
from numpy.typing import NDArray

from fedau2.wire.secure.layout import Layout


def withheld(total: NDArray[np.signedinteger], layout: Layout, threshold: int) -> NDArray[np.bool_]:
    """Returns True for the catalogue rows that fewer than `threshold` devices touched, of shape (items,).

    Args:
        total: the sum of the vectors, decoded; only its head is read.
        layout: of the task.
        threshold: with 0 and 1 no row is closed.
    """
    if threshold <= 1:
        return np.zeros(layout.items, np.bool_)
    return np.asarray(total[layout.touched] < threshold)


def close(total: NDArray[np.signedinteger], layout: Layout, rows: NDArray[np.bool_]) -> None:
    """Overwrites rows of every table of a sum with 0.

    Args:
        total: of shape (layout.size,); changed in place.
        layout: of the task.
        rows: True for the rows to close, of shape (items,).
    """
    for name in layout.tables:
        total[layout.tensors[name]].reshape(layout.items, -1)[rows] = 0
