"""Contributions, from the sums of a cohort's training."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.kernel.batch import RowSlots
from client_sdk.kernel.contract import Factors, Tensors
from fedau2.wire import contributions, manifest
from fedau2.wire.contributions import Update
from fedau2.wire.secure.rounding import Numbers, Products


def array(tensor: Tensor) -> NDArray[Any]:
    """A tensor's numbers, copied only if they are on another device."""
    return tensor.cpu().numpy()


Labels = Mapping[str, NDArray[np.int64]]
"""Per adversary, class numbers (B,), -1 where not known."""


def separate(sums: Tensors, rows: RowSlots, tables: Collection[str], labels: Labels) -> list[dict[str, Update]]:
    """Each client's contribution, from sums by group, where each client is a group of its own.

    Args:
        sums: tables by slot, (G * m, ...); dense tensors by group, (G, ...).
        rows: the table rows that the groups touch.
        tables: names of the shared tables.
        labels: a client without a label contributes nothing to that adversary.
    """
    arrays, table = {name: array(value) for name, value in sums.items()}, array(rows.table)
    out: list[dict[str, Update]] = []
    for client in range(rows.groups):
        used = slice(client * rows.slots, client * rows.slots + int(rows.counts[client]))
        silent = tuple(manifest.adversary_prefix(name) for name, known in labels.items() if known[client] < 0)
        out.append(
            {
                name: contributions.Rows(table[used], value[used]) if name in tables else value[client]
                for name, value in arrays.items()
                if not name.startswith(silent)
            }
        )
    return out


def numbers(
    sums: Tensors,
    factors: Mapping[str, Factors],
    rows: RowSlots,
    tables: Collection[str],
    labels: Labels,
    clients: int,
) -> dict[str, Numbers]:
    """The contributions of all clients, by tensor.

    Args:
        sums: tables by slot, where each client is a group of its own; dense tensors by client, (B, ...).
        factors: gradients as factors, by client.
        rows: the table rows that the groups touch.
        tables: names of the shared tables.
        labels: a client without a label is not among those of that adversary's tensors.
        clients: number of clients, B.
    """
    places = np.broadcast_to(array(rows.table).reshape(rows.groups, rows.slots), (clients, rows.slots))
    counts = rows.counts if rows.groups == clients else None
    out = {}
    for name, (column, line) in factors.items():
        members = _carriers(name, labels)
        values = Products(*(np.ascontiguousarray(array(part)[members]) for part in (column, line)))
        out[name] = Numbers(values, places, counts) if name in tables else Numbers(values)
    for name, value in sums.items():
        if name in tables:
            out[name] = Numbers(array(value).reshape(clients, rows.slots, -1), places, counts)
        else:
            height = value.shape[1] if value.ndim > 2 else 1  # a dense vector is one row
            by_client = array(value).reshape(clients, height, -1)
            out[name] = Numbers(np.ascontiguousarray(by_client[_carriers(name, labels)]))
    return out


def _carriers(name: str, labels: Labels) -> NDArray[np.int64] | slice:
    """The clients that contribute to a tensor."""
    for adversary, known in labels.items():
        if name.startswith(manifest.adversary_prefix(adversary)) and (known < 0).any():
            return np.flatnonzero(known >= 0)
    return slice(None)


def total(sums: Tensors, rows: RowSlots, tables: Collection[str]) -> dict[str, Update]:
    """The sum of all contributions; the arguments are those of `separate`."""
    return {
        name: _rows(value, rows) if name in tables else array(value[0] if len(value) == 1 else value.sum(0))
        for name, value in sums.items()
    }


def _rows(value: Tensor, rows: RowSlots) -> contributions.Rows:
    if rows.groups == 1:
        return contributions.Rows(array(rows.table), array(value))
    table, slot = torch.unique(rows.table, return_inverse=True)
    summed = value.new_zeros(len(table), *value.shape[1:]).index_add_(0, slot, value)
    return contributions.Rows(array(table), array(summed))
