"""How a cohort's samples lie in memory, so that one kernel serves one device, many separate clients, or their sum.

Samples form G groups of n. Each group has its own copy of the shared tensors once they diverge:

* summed: one group of all clients, samples one after another; gradients come out summed over the clients
* separate: one group per client, padded to equal length with samples of weight 0; gradients come out per client

A device is a cohort of one, for which both are the same. Shared dense tensors and their gradients carry a leading group
axis, of length 1 while all groups agree. Table rows carry none: only the rows that a group touches are held, in slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.draws import Samples

TILE = 2048
"""Samples worked on at a time in summed form, so that activations stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The table rows that each group touches, in slots.

    Attributes:
        groups: number of groups G.
        slots: slots per group m.
        table: table row of each slot, int64 (G * m,); unused slots hold row 0.
        counts: slots used by each group, (G,); a group's rows are in its first slots, in increasing order.
    """

    groups: int
    slots: int
    table: Tensor
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples of one local step, flat: sample i of group g is at g * n + i.

    Attributes:
        groups: number of groups G.
        clients: number of clients B, a multiple of G.
        slot: slot of each sample's item, int64 (G * n,).
        client: client of each sample, int64 (G * n,).
        labels: float32 (G * n,).
        weights: float32 (G * n,); 0 for padding.
    """

    groups: int
    clients: int
    slot: Tensor
    client: Tensor
    labels: Tensor
    weights: Tensor

    def tiles(self) -> list["Batch"]:
        """The batch in pieces whose gradients add up: several in summed form, itself otherwise."""
        if self.groups > 1 or len(self.slot) <= TILE:
            return [self]
        cuts = range(0, len(self.slot), TILE)
        return [self._slice(slice(start, start + TILE)) for start in cuts]

    def _slice(self, part: slice) -> "Batch":
        return Batch(1, self.clients, self.slot[part], self.client[part], self.labels[part], self.weights[part])


def layout(steps: Sequence[Sequence[Samples]], items: int, *, summed: bool) -> tuple[Rows, list[Batch]]:
    """Lays out what each client drew.

    Args:
        steps: samples by client, then local step.
        items: length of the catalogue.
        summed: one group of all clients, or one group per client.

    Returns:
        The rows touched in any step, and a batch for each step.
    """
    groups = 1 if summed else len(steps)
    client_items = [np.concatenate([step.items for step in client]) for client in steps]
    keys = np.concatenate([rows + (0 if summed else g) * items for g, rows in enumerate(client_items)])
    rows, slot_of = _rows(keys, groups, items)
    slots = np.split(slot_of[keys], np.cumsum([len(step.items) for client in steps for step in client])[:-1])
    count = len(steps[0])
    batch = _summed if summed else _separate
    return rows, [batch([client[s] for client in steps], slots[s::count], rows.slots) for s in range(count)]


def _rows(keys: NDArray[np.int64], groups: int, items: int) -> tuple[Rows, NDArray[np.int64]]:
    touched = np.zeros(groups * items, np.bool_)
    touched[keys] = True
    found = np.flatnonzero(touched)
    group = found // items
    counts = np.bincount(group, minlength=groups)
    slots = int(counts.max())
    slot = np.arange(len(found)) - (np.cumsum(counts) - counts)[group] + group * slots
    slot_of = np.empty(groups * items, np.int64)
    slot_of[found] = slot
    table = np.zeros(groups * slots, np.int64)
    table[slot] = found - group * items
    return Rows(groups, slots, torch.from_numpy(table), counts), slot_of


def _summed(clients: Sequence[Samples], slots: Sequence[NDArray[np.int64]], _: int) -> Batch:
    lengths = [len(client.items) for client in clients]
    return Batch(
        groups=1,
        clients=len(clients),
        slot=torch.from_numpy(np.concatenate(slots)),
        client=torch.from_numpy(np.repeat(np.arange(len(clients)), lengths)),
        labels=torch.from_numpy(np.concatenate([client.labels for client in clients])),
        weights=torch.from_numpy(np.concatenate([client.weights for client in clients])),
    )


def _separate(clients: Sequence[Samples], slots: Sequence[NDArray[np.int64]], per_group: int) -> Batch:
    shape = (len(clients), max(len(client.items) for client in clients))
    slot = np.repeat(np.arange(shape[0]) * per_group, shape[1]).reshape(shape)
    labels, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for g, client in enumerate(clients):
        n = len(client.items)
        slot[g, :n], labels[g, :n], weights[g, :n] = slots[g], client.labels, client.weights
    return Batch(
        groups=shape[0],
        clients=shape[0],
        slot=torch.from_numpy(slot.ravel()),
        client=torch.from_numpy(np.repeat(np.arange(shape[0]), shape[1])),
        labels=torch.from_numpy(labels.ravel()),
        weights=torch.from_numpy(weights.ravel()),
    )
