"""Rounds the numbers of a tensor to integers of bounded norm, and adds them up, for one device or for several at once.

NumPy's arithmetic is the reference. The native library computes the same bytes (docs/native.md).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedau2 import native
from fedau2.v1.secure_pb2 import Grid
from fedau2.wire.errors import ContributionError

BLOCK = 2**14
"""Numbers that are rounded at a time, so that they stay in the processor's cache."""

_HALF = 2.0**16
_SHRINK = 2.0**-12
"""Share by which a factor shrinks where rounding has lifted the norm over the clip; doubled each time."""

_SLACK = 1e-6
"""More than what float64 adds to a norm, in relation to it."""


@dataclass(frozen=True, eq=False)
class Products:
    """Numbers that are products, `column[b, i] * line[b, j]`.

    Gradients by a layer's weights are such where a device has one sample.

    Attributes:
        column: float32 (B, m).
        line: float32 (B, w).
    """

    column: NDArray[np.float32]
    line: NDArray[np.float32]

    def of(self, device: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns the column and the line of a device that has so many rows."""
        return self.column[device, :count], self.line[device]


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of one tensor that B devices contribute; all arrays are contiguous.

    Attributes:
        values: float32 (B, m, w), or products of this shape.
        rows: the rows of the tensor that they are, int64 (B, m), each once for a device; None: all rows. It may be
            broadcast along the devices.
        counts: number of the m rows that each device has, int64 (B,); None: all.
    """

    values: NDArray[np.float32] | Products
    rows: NDArray[np.int64] | None = None
    counts: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """B, m and w."""
        if isinstance(self.values, Products):
            return (*self.values.column.shape, self.values.line.shape[1])
        devices, rows, width = self.values.shape
        return devices, rows, width

    def count(self, device: int) -> int:
        """Returns how many rows a device has."""
        return self.shape[1] if self.counts is None else int(self.counts[device])

    def blocks(self, device: int) -> Iterator[tuple[slice | NDArray[np.int64], NDArray[np.float32]]]:
        """Yields some rows of a device at a time: which rows of the tensor they are, and their numbers."""
        count, step = self.count(device), max(1, BLOCK // max(1, self.shape[2]))
        for start in range(0, count, step):
            part = slice(start, min(start + step, count))
            if isinstance(self.values, Products):
                numbers = self.values.column[device, part, None] * self.values.line[device]
            else:
                numbers = self.values[device, part]
            yield part if self.rows is None else self.rows[device, part], numbers


def fit(name: str, numbers: Numbers, grid: Grid, largest: int) -> NDArray[np.float64]:
    """Returns the factors by which devices scale their numbers down, of shape (B,).

    The squares of the integers then add up to at most clip^2, and none is above `largest`, for every finite input.

    Args:
        name: of the tensor, for the error.
        numbers: of the devices.
        grid: of the tensor; its clip is at least 1.
        largest: largest absolute value of an integer, below 2^16.

    Raises:
        ContributionError: a number is not finite.
    """
    if library := native.arithmetic():
        factors = np.empty(numbers.shape[0])
        library.fit(_struct(numbers), grid.exponent, grid.clip, largest, factors)
    else:
        factors = np.array([_factor(numbers, device, grid, largest) for device in range(numbers.shape[0])])
    if np.isnan(factors).any():
        raise ContributionError(f"{name}: a value is not finite")
    return factors


def add(
    total: NDArray[np.uint32],
    numbers: Numbers,
    exponent: int,
    factors: NDArray[np.float64],
    touched: NDArray[np.bool_] | None = None,
) -> None:
    """Adds the integers of devices to a sum, modulo 2^32.

    Args:
        total: of the tensor, (rows, w); changed in place.
        numbers: of the devices.
        exponent: of the grid.
        factors: see `fit`.
        touched: (B, rows); becomes True where an integer of a row is not 0. None: nobody asks.

    Raises:
        ValueError: the shapes do not fit.
    """
    _expect_shapes(total, numbers, factors, touched)
    if library := native.arithmetic():
        places, step = _places(numbers.rows)
        library.round(_struct(numbers), exponent, factors, places, step, len(total), total, touched)
        return
    for device, factor in enumerate(factors.tolist()):
        for rows, block in numbers.blocks(device):
            integers = _rounded(block, exponent, factor).astype(np.int32)
            total[rows] += integers.view(np.uint32)
            if touched is not None:
                touched[device, rows] = integers.any(axis=1)


def _expect_shapes(
    total: NDArray[np.uint32],
    numbers: Numbers,
    factors: NDArray[np.float64],
    touched: NDArray[np.bool_] | None,
) -> None:
    # The library reads and writes wherever these say.
    devices, rows, width = numbers.shape
    fits = len(factors) == devices and total.shape == (rows if numbers.rows is None else len(total), width)
    fits = fits and (numbers.rows is None or numbers.rows.shape == (devices, rows))
    fits = fits and (touched is None or touched.shape == (devices, len(total)))
    if not fits:
        raise ValueError(f"numbers of shape {numbers.shape} do not fit a sum of shape {total.shape}")


def square_sum(integers: NDArray[np.number[Any]]) -> int:
    """Adds the squares of integers below 2^31, exactly."""
    flat = integers.reshape(-1)
    return sum(_squares(flat[start : start + BLOCK]) for start in range(0, flat.size, BLOCK))


def _squares(block: NDArray[np.number[Any]]) -> int:
    # As floats, which are added faster: no sum of a block comes near 2^53, so all are exact in any order.
    sizes = np.abs(block.astype(np.float64))
    if sizes.max() < _HALF:
        return int(sizes @ sizes)
    high, low = np.divmod(sizes, _HALF)
    return (int(high @ high) << 32) + (int(high @ low) << 17) + int(low @ low)


def _factor(numbers: Numbers, device: int, grid: Grid, largest: int) -> float:
    most = _most(numbers, device) * 2.0**grid.exponent
    if not math.isfinite(most):
        return math.nan
    factor, shrink = min(1.0, largest / most) if most else 1.0, _SHRINK
    if factor == 1 and _certainly_within(numbers, device, grid):
        return factor
    while (squares := _squares_of(numbers, device, grid.exponent, factor)) > grid.clip**2:
        factor *= min(grid.clip / math.sqrt(squares), 1 - shrink)
        shrink = min(0.5, 2 * shrink)
    return factor


def _most(numbers: Numbers, device: int) -> float:
    """Returns the largest absolute value of a device's numbers, which is NaN or infinite if one of them is."""
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(numbers.values, Products):
            column, line = numbers.values.of(device, numbers.count(device))
            if not (column.size and line.size):
                return 0.0
            most = np.abs(column).max() * np.abs(line).max()  # in float32, as the largest product is
            return float(most) if np.isfinite(column).all() and np.isfinite(line).all() else math.inf
        blocks = (np.maximum(block.max(initial=0), -block.min(initial=0)) for _, block in numbers.blocks(device))
        return float(np.max([0.0, *blocks]))


def _certainly_within(numbers: Numbers, device: int, grid: Grid) -> bool:
    """Returns True if the integers of products are within the clip: rounding moves each by a half at most."""
    if not isinstance(numbers.values, Products):
        return False
    parts = [part.astype(np.float64) for part in numbers.values.of(device, numbers.count(device))]
    norm = math.prod(float(np.linalg.norm(part)) for part in parts) * 2.0**grid.exponent
    return (norm + math.sqrt(math.prod(map(len, parts))) / 2) * (1 + _SLACK) <= grid.clip


def _squares_of(numbers: Numbers, device: int, exponent: int, factor: float) -> int:
    return sum(square_sum(_rounded(block, exponent, factor)) for _, block in numbers.blocks(device))


def _rounded(block: NDArray[np.float32], exponent: int, factor: float) -> NDArray[np.floating]:
    if factor == 1:  # a float32 times a power of two is exact, or so small that it is rounded to 0
        return np.asarray(np.rint(block * np.float32(2.0**exponent)))
    return np.asarray(np.rint(block.astype(np.float64) * 2.0**exponent * factor))


def _struct(numbers: Numbers) -> Any:  # noqa: ANN401 - a struct of a package that need not be installed
    from fedau2_native.structs import Numbers as Struct

    values = numbers.values
    if isinstance(values, Products):
        return Struct.of(numbers.shape, numbers.counts, None, values.column, values.line)
    return Struct.of(numbers.shape, numbers.counts, values, None, None)


def _places(rows: NDArray[np.int64] | None) -> tuple[NDArray[np.int64] | None, int]:
    """Returns the rows as the library takes them, and how far those of the next device are."""
    if rows is None or rows.strides[0]:
        return rows, 0 if rows is None else rows.shape[1]
    return rows[:1], 0
