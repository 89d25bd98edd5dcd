"""The parts of a sum that stay closed: rows that too few devices touched, and with them the counts of rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.errors import ContributionError
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


def closed_places(layout: Layout, policy: SecureSums, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns True for the words of a sum whose masks the unmasker keeps to itself, of shape (layout.size,).

    A row is closed in every tensor that has rows. The gradient of a dense one, such as FedVAE's last layer, is below 0
    at the items that a device recorded, so its sum would show how many devices recorded an item that few touched.

    Counts of rows are never opened. With noise no flag is, because flags carry none.

    Args:
        layout: of the task.
        policy: of the task.
        rows: True for the rows that stay closed, of shape (items,).
    """
    places = np.zeros(layout.size, np.bool_)
    places[layout.touched] = True
    if policy.noise_multiplier:
        places[layout.carried] = places[layout.clipped] = True
    _fill(places, layout, rows, value=1)
    return places


def bits(rows: NDArray[np.bool_]) -> bytes:
    """Writes rows as `OpenedSum.withheld` has them."""
    return np.packbits(rows, bitorder="little").tobytes() if rows.any() else b""


def rows(data: bytes, items: int) -> NDArray[np.bool_]:
    """Reads `OpenedSum.withheld`, as True for the rows that stay closed, of shape (items,).

    Raises:
        ContributionError: it is not written as it must be.
    """
    wrong = len(data) not in (0, (items + 7) // 8)
    read = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").astype(np.bool_)
    out = read[:items] if data else np.zeros(items, np.bool_)
    if wrong or bits(out) != data:
        raise ContributionError(f"{len(data)} bytes are not a bit for each of {items} rows")
    return out


def close(total: NDArray[np.signedinteger], layout: Layout, rows: NDArray[np.bool_]) -> None:
    """Overwrites rows of a sum with 0, in every tensor that has rows.

    Args:
        total: of shape (layout.size,); changed in place.
        layout: of the task.
        rows: True for the rows to close, of shape (items,).
    """
    _fill(total, layout, rows, value=0)


def _fill(words: NDArray[Any], layout: Layout, rows: NDArray[np.bool_], *, value: int) -> None:
    for name in layout.by_item:
        words[layout.tensors[name]].reshape(layout.items, -1)[rows] = value
