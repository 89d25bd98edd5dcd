"""Turns a contribution into a vector of integers whose norm is bounded, tensor by tensor.

The result is the same in every language: all sums are of integers, and floats are only multiplied, divided, rounded and
rooted, which IEEE 754 defines to the last bit.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.contributions import Rows, Update
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure import policy as policies
from fedau2.wire.secure.layout import CANARY, Layout

_BLOCK = 2**16
_HALF = 2.0**16
_SHRINK = 2.0**-12
"""Share by which a factor shrinks where rounding has lifted the norm over the clip; doubled each time."""


def vector(contribution: Mapping[str, Update], policy: SecureSums, layout: Layout) -> NDArray[np.int32]:
    """Returns the integers that stand for a contribution, of shape (layout.size,).

    Args:
        contribution: per tensor the whole tensor, or some rows.
        policy: checked.
        layout: of the same manifest.

    Raises:
        ContributionError: a value is not finite, or a tensor or row is not one of the layout.
    """
    if unknown := contribution.keys() - layout.shapes.keys():
        raise ContributionError(f"no tensor {min(unknown)!r} is added up in this task")
    out = np.zeros(layout.size, np.int32)
    out[: len(CANARY)] = CANARY
    grids, largest = policies.grids(policy), policies.largest_value(policy)
    for number, (name, place) in enumerate(layout.tensors.items()):
        if (update := contribution.get(name)) is None:
            continue
        values = update.values if isinstance(update, Rows) else update
        _expect_fit(name, update, layout)
        grid = grids[name]
        integers, clipped = quantise(name, values, grid.exponent, grid.clip, largest)
        whole = out[place].reshape(layout.shapes[name])
        whole[update.indices if isinstance(update, Rows) else slice(None)] = integers
        out[layout.carried][number] = 1
        out[layout.clipped][number] = clipped
    out[layout.touched] = _touched(out, layout, contribution)
    return out


def quantise(
    name: str, values: NDArray[np.floating], exponent: int, clip: int, largest: int
) -> tuple[NDArray[np.int32], bool]:
    """Rounds values to multiples of 2^-exponent, scaled down together until they are small enough.

    The squares of the integers add up to at most clip^2, and none is above `largest`, for every finite input.

    Args:
        name: of the tensor, for the error.
        values: of any shape.
        exponent: of the grid.
        clip: largest L2 norm of the integers, at least 1.
        largest: largest absolute value of an integer.

    Returns:
        The integers, in the shape of the values, and whether they were scaled down.

    Raises:
        ContributionError: a value is not finite.
    """
    scaled = np.ldexp(values.astype(np.float64), exponent)
    most = float(np.abs(scaled).max(initial=0.0))
    if not math.isfinite(most):
        raise ContributionError(f"{name}: a value is not finite")
    factor = min(1.0, largest / most) if most else 1.0
    integers = _rounded(scaled, factor)
    shrink = _SHRINK
    while (squares := square_sum(integers)) > clip * clip:
        factor *= min(clip / math.sqrt(squares), 1 - shrink)
        shrink = min(0.5, 2 * shrink)
        integers = _rounded(scaled, factor)
    return integers, factor < 1.0


def square_sum(integers: NDArray[np.signedinteger]) -> int:
    """Adds the squares of integers below 2^31, exactly."""
    flat = integers.reshape(-1)
    return sum(_squares(flat[start : start + _BLOCK]) for start in range(0, flat.size, _BLOCK))


def _squares(block: NDArray[np.signedinteger]) -> int:
    # As floats, which are added faster: no sum of a block comes near 2^53, so all are exact in any order.
    sizes = np.abs(block.astype(np.float64))
    if sizes.max() < _HALF:
        return int(sizes @ sizes)
    high, low = np.divmod(sizes, _HALF)
    return (int(high @ high) << 32) + (int(high @ low) << 17) + int(low @ low)


def _rounded(scaled: NDArray[np.float64], factor: float) -> NDArray[np.int32]:
    return np.rint(scaled * factor).astype(np.int32)


def _touched(vector: NDArray[np.int32], layout: Layout, contribution: Mapping[str, Update]) -> NDArray[np.bool_]:
    tables = [name for name in layout.tables if name in contribution]
    if not tables:
        return np.zeros(layout.items, np.bool_)
    rows = (vector[layout.tensors[name]].reshape(layout.items, -1).any(axis=1) for name in tables)
    return np.asarray(np.logical_and.reduce(list(rows)))


def _expect_fit(name: str, update: Update, layout: Layout) -> None:
    shape = layout.shapes[name]
    if not isinstance(update, Rows):
        fits = update.shape == shape
    else:
        indices = update.indices
        fits = name in layout.tables and update.values.shape == (len(indices), *shape[1:])
        fits = fits and bool((indices[1:] > indices[:-1]).all())
        fits = fits and (not indices.size or bool(indices[0] >= 0 and indices[-1] < shape[0]))
    if not fits:
        raise ContributionError(f"{name}: the update does not fit a tensor of shape {shape}")
