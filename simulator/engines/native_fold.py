"""Fixed-point sums by the native library, in one pass over the values."""

from collections.abc import Iterable

import numpy as np

from coordinator.aggregation.fold import Fold, Piece
from fedau2.wire import fixed
from fedau2_native import Library


class NativeFold(Fold):
    """Adds pieces to sums with the same integers as `Fold`, and needs no scratch space for float32 values."""

    def __init__(self, library: Library) -> None:
        super().__init__()
        self._library = library

    def add(self, parts: Iterable[Piece], factor: float = 1.0) -> None:
        """Adds the pieces times a factor from 0 to 1; |values| must be at most `fixed.bound(1)`."""
        for total, rows, values in parts:
            if values.dtype != np.float32 or not values.flags.c_contiguous:
                super().add([Piece(total, rows, values)], factor)
                continue
            length = len(values) if rows is not None else values.size
            width = values.size // max(1, length)
            self._library.fold(length, width, rows, values, factor * fixed.SCALE, total)
