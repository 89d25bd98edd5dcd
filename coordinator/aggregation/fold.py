"""Adds float values to fixed-point sums.

Models have many small tensors. For those the cost of numpy lies in the calls and not in the values, so they are
converted together.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedau2 import native
from fedau2.wire import fixed
from fedau2.wire.contributions import Rows

if TYPE_CHECKING:
    from fedau2_native import Library

BLOCK = 2**16
"""Elements that are converted at a time. A small block keeps the scratch space small."""

LARGE = 2**11
"""Elements from which on a call of the native library costs less than to add a piece with others by NumPy."""


class Piece(NamedTuple):
    """Values for a part of a sum.

    Attributes:
        total: int64; a view of the sum.
        rows: the rows of the sum that the values belong to, without repetition; None: all rows.
        values: of the shape of those rows, or of all.
    """

    total: NDArray[np.int64]
    rows: NDArray[np.int64] | None
    values: NDArray[np.floating[Any]]


def pieces(total: NDArray[np.int64], values: NDArray[np.floating[Any]] | Rows) -> Iterator[Piece]:
    """Cuts the values to add to a tensor's sum into pieces of at most `BLOCK` elements, or of one row."""
    if isinstance(values, Rows):
        step = max(1, BLOCK // max(1, total[0].size))
        for start in range(0, len(values.indices), step):
            yield Piece(total, values.indices[start : start + step], values.values[start : start + step])
    elif values.size <= BLOCK:
        yield Piece(total, None, values)
    else:
        flat, source = total.reshape(-1), values.reshape(-1)
        for start in range(0, source.size, BLOCK):
            yield Piece(flat[start : start + BLOCK], None, source[start : start + BLOCK])


class Fold:
    """Adds pieces to sums, with the results of `fixed.to_fixed`. It is not to be used by two threads at a time."""

    def __init__(self) -> None:
        self._scaled = np.empty(BLOCK)
        self._grid = np.empty(BLOCK, np.int64)

    def __reduce__(self) -> tuple[Callable[[], "Fold"], tuple[()]]:
        # Sums that travel to another process bring no scratch space, and no library that may not be there.
        return fastest, ()

    def add(self, parts: Iterable[Piece], factor: float = 1.0) -> None:
        """Adds the pieces times a factor from 0 to 1; |values| must be at most `fixed.bound(1)`."""
        block: list[Piece] = []
        size = 0
        for piece in parts:
            if size + piece.values.size > BLOCK and block:
                self._add_block(block, size, factor)
                block, size = [], 0
            block.append(piece)
            size += piece.values.size
        if block:
            self._add_block(block, size, factor)

    def _add_block(self, block: list[Piece], size: int, factor: float) -> None:
        grid = self._to_grid([piece.values for piece in block], size, factor)
        start = 0
        for total, rows, values in block:
            part = grid[start : start + values.size].reshape(values.shape)
            start += values.size
            if rows is None:
                total += part
            else:
                total[rows] += part

    def _to_grid(self, values: list[NDArray[np.floating[Any]]], size: int, factor: float) -> NDArray[np.int64]:
        if size > BLOCK:  # one row that is larger than a block
            return fixed.to_fixed(values[0].reshape(-1), factor)
        scaled, grid = self._scaled[:size], self._grid[:size]
        np.concatenate(values, axis=None, out=scaled)
        scaled *= factor * fixed.SCALE
        np.rint(scaled, out=grid, casting="unsafe")
        return grid


class NativeFold(Fold):
    """Adds pieces to sums with the same integers as `Fold`, in one pass over float32 values.

    Args:
        library: the native library.
    """

    def __init__(self, library: "Library") -> None:
        super().__init__()
        self._library = library

    def add(self, parts: Iterable[Piece], factor: float = 1.0) -> None:
        """Adds the pieces times a factor from 0 to 1; |values| must be at most `fixed.bound(1)`."""
        others = []
        for piece in parts:
            total, rows, values = piece
            if values.size < LARGE or values.dtype != np.float32 or not values.flags.c_contiguous:
                others.append(piece)
                continue
            length = 1 if rows is None else len(rows)
            self._library.fold(length, values.size // length, rows, values, factor * fixed.SCALE, total)
        super().add(others, factor)


def fastest() -> Fold:
    """Makes a fold by the native library where it is installed, and otherwise by NumPy."""
    library = native.arithmetic()
    return NativeFold(library) if library else Fold()
