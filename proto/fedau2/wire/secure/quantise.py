"""Turns contributions into vectors of integers whose norm is bounded, tensor by tensor, and adds such vectors up.

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
from fedau2.wire.secure import rounding
from fedau2.wire.secure.layout import CANARY, Layout
from fedau2.wire.secure.rounding import Numbers


def vector(contribution: Mapping[str, Update], policy: SecureSums, layout: Layout) -> NDArray[np.int32]:
    """Returns the integers that stand for a contribution, of shape (layout.size,).

    Args:
        contribution: per tensor the whole tensor, or some rows.
        policy: checked.
        layout: of the same manifest.

    Raises:
        ContributionError: a value is not finite, or a tensor or row is not one of the layout.
    """
    out = np.zeros(layout.size, np.uint32)
    add(out, numbers(contribution, layout), 1, policy, layout)
    return out.view(np.int32)


def numbers(contribution: Mapping[str, Update], layout: Layout) -> dict[str, Numbers]:
    """Returns the numbers of one device's contribution, as `add` takes them.

    Raises:
        ContributionError: a tensor or row is not one of the layout.
    """
    if unknown := contribution.keys() - layout.shapes.keys():
        raise ContributionError(f"no tensor {min(unknown)!r} is added up in this task")
    out = {}
    for name, update in contribution.items():
        _expect_fit(name, update, layout)
        width = _matrix(name, layout)[1]
        if isinstance(update, Rows):
            values, rows = update.values, np.ascontiguousarray(update.indices, np.int64)[None]
        else:
            values, rows = update, None
        out[name] = Numbers(np.ascontiguousarray(values, np.float32).reshape(1, -1, width), rows)
    return out


def add(
    total: NDArray[np.uint32], numbers: Mapping[str, Numbers], devices: int, policy: SecureSums, layout: Layout
) -> None:
    """Adds the vectors of some devices to a sum, modulo 2^32, without making them.

    Args:
        total: of shape (layout.size,); changed in place.
        numbers: by tensor, of the devices that carry it. Every device carries every table that is among them.
        devices: number of devices.
        policy: checked.
        layout: of the same manifest.

    Raises:
        ContributionError: a number is not finite. Nothing has been added.
    """
    grids, largest = policies.grids(policy), policies.largest_value(policy)
    factors = {name: rounding.fit(name, values, grids[name], largest) for name, values in numbers.items()}
    total[: len(CANARY)] += np.multiply(CANARY, devices).astype(np.uint32)
    touched = []
    for number, (name, place) in enumerate(layout.tensors.items()):
        if name not in numbers:
            continue
        flags = np.zeros((devices, layout.items), np.bool_) if name in layout.tables else None
        of_tensor = total[place].reshape(_matrix(name, layout))
        rounding.add(of_tensor, numbers[name], grids[name].exponent, factors[name], flags)
        total[layout.carried][number] += len(factors[name])
        total[layout.clipped][number] += np.count_nonzero(factors[name] < 1)
        if flags is not None:
            touched.append(flags)
    if touched:
        total[layout.touched] += np.logical_and.reduce(touched).sum(0, np.uint32)


def _matrix(name: str, layout: Layout) -> tuple[int, int]:
    """Returns the rows of a tensor and their width; a dense vector is one row."""
    shape = layout.shapes[name]
    rows = shape[0] if name in layout.tables or len(shape) > 1 else 1
    return rows, math.prod(shape) // max(1, rows)


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
