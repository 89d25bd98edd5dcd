"""The parts of a sum that stay closed: what too few devices contributed to, and the counts of rows.

One array says what is closed: True or False for each row of the catalogue, and then for each tensor of the
layout.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure.layout import ItemAxis, Layout

LEAST_CARRIERS = 10
"""Fewest devices whose numbers of a tensor are opened without noise, even where all rows are open."""


def nothing(layout: Layout) -> NDArray[np.bool_]:
    """Returns that everything is open, of shape (items + tensors,)."""
    return np.zeros(layout.items + len(layout.shapes), np.bool_)


def withheld(total: NDArray[np.signedinteger], layout: Layout, threshold: int) -> NDArray[np.bool_]:
    """Returns True for the catalogue rows, and then for the tensors, that stay closed, of shape (items + tensors,).

    A row is closed if fewer than `threshold` devices touched it. A tensor is closed if fewer than that, or fewer than
    `LEAST_CARRIERS`, carry it: only devices that know an attribute carry the adversary's tensors.

    Args:
        total: the sum of the vectors, decoded; only its head is read.
        layout: of the task.
        threshold: with 0 and 1 no row is closed.
    """
    closed = nothing(layout)
    if threshold > 1:
        closed[: layout.items] = total[layout.touched] < threshold
    closed[layout.items :] = total[layout.carried] < max(threshold, LEAST_CARRIERS)
    return closed


def closed_places(layout: Layout, policy: SecureSums, closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns True for the words of a sum whose masks the unmasker keeps to itself, of shape (layout.size,).

    A row is closed in every tensor that has numbers for its item. The gradient of a dense one, such as FedVAE's last
    layer, is below 0 at the items that a device recorded, so its sum would show how many devices recorded an item that
    few touched.

    A tensor is closed with its two flags: the number of devices that carry it stays closed too.

    Counts of rows are never opened. With noise no flag is, because flags carry none.

    Args:
        layout: of the task.
        policy: of the task.
        closed: True for the rows and tensors that stay closed, of shape (items + tensors,).
    """
    places = np.zeros(layout.size, np.bool_)
    places[layout.touched] = True
    if policy.noise_multiplier:
        places[layout.carried] = places[layout.clipped] = True
    _fill(places, layout, closed, value=1)
    return places


def bits(closed: NDArray[np.bool_]) -> bytes:
    """Writes what stays closed as `OpenedSum.withheld` has it."""
    return np.packbits(closed, bitorder="little").tobytes() if closed.any() else b""


def read(data: bytes, layout: Layout) -> NDArray[np.bool_]:
    """Reads `OpenedSum.withheld`, as True for the rows and tensors that stay closed, of shape (items + tensors,).

    Raises:
        ContributionError: it is not written as it must be.
    """
    out = nothing(layout)
    if not data:
        return out
    unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").astype(np.bool_)
    out = unpacked[: out.size]
    if len(data) != (layout.items + len(layout.shapes) + 7) // 8 or bits(out) != data:
        raise ContributionError(
            f"{len(data)} bytes are not a bit for each of {layout.items} rows and {len(layout.shapes)} tensors"
        )
    return out


def close(total: NDArray[np.signedinteger], layout: Layout, closed: NDArray[np.bool_]) -> None:
    """Overwrites what stays closed of a sum with 0.

    Rows are overwritten in every tensor that has numbers for their items, and tensors together with their flags.

    Args:
        total: of shape (layout.size,); changed in place.
        layout: of the task.
        closed: True for the rows and tensors to close, of shape (items + tensors,).
    """
    _fill(total, layout, closed, value=0)


def _fill(words: NDArray[Any], layout: Layout, closed: NDArray[np.bool_], *, value: int) -> None:
    rows, tensors = closed[: layout.items], closed[layout.items :]
    for name, along in layout.by_item.items():
        before, length = math.prod(layout.shapes[name][: along.axis]), layout.shapes[name][along.axis]
        words[layout.tensors[name]].reshape(before, length, -1)[:, _along(rows, along)] = value
    for flags in (layout.carried, layout.clipped):
        words[flags][tensors] = value
    for place, is_closed in zip(layout.tensors.values(), tensors, strict=True):
        if is_closed:
            words[place] = value


def _along(rows: NDArray[np.bool_], along: ItemAxis) -> NDArray[np.bool_]:
    """Returns True for the numbers of rows along a tensor's item axis."""
    if along.spans == ((1, 0),):
        return rows
    parts = [np.repeat(rows, per_item) if per_item else np.zeros(others, np.bool_) for per_item, others in along.spans]
    return np.concatenate(parts)
