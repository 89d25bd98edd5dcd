"""The layout of a cohort's samples in memory. One kernel then serves one device, many separate clients, or their sum.

Samples form G groups of n. Each group has its own copy of the shared tensors once they diverge:

* summed: one group of all clients, their samples one after another. Gradients come out summed over the clients.
* separate: one group per client, padded to equal length with samples of weight 0. Gradients come out per client.

A device is a cohort of one client, for which both forms are the same. Shared dense tensors and their gradients carry a
leading group axis, of length 1 while all groups agree. Tables have no such axis: only the rows that a group touches are
held, in slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.draws import Samples

TILE = 4096
"""Samples that are worked on at a time in summed form, so that activations stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class RowSlots:
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

    def on(self, device: torch.device) -> Self:
        """The same on a device."""
        return replace(self, table=self.table.to(device))


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
        noise: numbers that the recommender itself adds, float32 (B, w); w is 0 for most recommenders.
    """

    groups: int
    clients: int
    slot: Tensor
    client: Tensor
    labels: Tensor
    weights: Tensor
    noise: Tensor

    def on(self, device: torch.device) -> Self:
        """The same on a device."""
        tensors: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)

    def tiles(self) -> list["Batch"]:
        """The batch in pieces whose gradients add up: several in summed form, itself otherwise."""
        if self.groups > 1 or self.slot.shape[0] <= TILE:
            return [self]
        cuts = range(0, len(self.slot), TILE)
        return [self._slice(slice(start, start + TILE)) for start in cuts]

    def _slice(self, part: slice) -> "Batch":
        samples = self.slot[part], self.client[part], self.labels[part], self.weights[part]
        return Batch(1, self.clients, *samples, self.noise)


def layout(samples: Sequence[Sequence[Samples]], items: int, *, summed: bool) -> tuple[RowSlots, list[Batch]]:
    """Lays out the samples that clients drew.

    Args:
        samples: by client, then local step.
        items: length of the catalogue.
        summed: one group of all clients, or one group per client.

    Returns:
        The rows touched in any step, and a batch for each step.
    """
    clients, steps = len(samples), len(samples[0])
    flat = [step for client in samples for step in client]
    lengths = np.array([len(step.items) for step in flat]).reshape(clients, steps)
    group = np.zeros(clients, np.int64) if summed else np.arange(clients)
    keys = np.concatenate([step.items for step in flat]) + np.repeat(group * items, lengths.sum(1))
    rows, slot_of = _rows(keys, int(group[-1]) + 1, items)
    noise = [np.stack([client[step].noise for client in samples]) for step in range(steps)]
    columns = slot_of[keys], np.concatenate([s.labels for s in flat]), np.concatenate([s.weights for s in flat])
    if summed and steps == 1:
        client = np.repeat(np.arange(clients), lengths[:, 0])
        return rows, [_batch(1, clients, client, columns, noise[0])]
    step = np.repeat(np.tile(np.arange(steps), clients), lengths.ravel())
    return rows, [_padded([c[step == s] for c in columns], lengths[:, s], rows.slots, noise[s]) for s in range(steps)]


def _padded(
    columns: Sequence[NDArray[Any]], lengths: NDArray[np.int64], slots: int, noise: NDArray[np.float32]
) -> Batch:
    """Gives each client a group of equal length. Padding points to the group's first slot, with weight 0."""
    groups, longest = len(lengths), int(lengths.max())
    first_slot = np.repeat(np.arange(groups) * slots, longest)
    filled: list[NDArray[Any]] = [
        first_slot,
        np.zeros(groups * longest, np.float32),
        np.zeros(groups * longest, np.float32),
    ]
    used = (np.arange(longest) < lengths[:, None]).ravel()
    for target, column in zip(filled, columns, strict=True):
        target[used] = column
    return _batch(groups, groups, np.repeat(np.arange(groups), longest), filled, noise)


def _batch(
    groups: int,
    clients: int,
    client: NDArray[np.int64],
    columns: Sequence[NDArray[Any]],
    noise: NDArray[np.float32],
) -> Batch:
    slot, labels, weights = map(torch.from_numpy, columns)
    return Batch(groups, clients, slot, torch.from_numpy(client), labels, weights, torch.from_numpy(noise))


def _rows(keys: NDArray[np.int64], groups: int, items: int) -> tuple[RowSlots, NDArray[np.int64]]:
    touched = np.zeros(groups * items, np.bool_)
    touched[keys] = True
    keys = np.flatnonzero(touched)
    group = keys // items
    counts = np.bincount(group, minlength=groups)
    slots = int(counts.max())
    slot = np.arange(len(keys)) - (np.cumsum(counts) - counts)[group] + group * slots
    slot_of = np.empty(groups * items, np.int64)
    slot_of[keys] = slot
    table = np.zeros(groups * slots, np.int64)
    table[slot] = keys - group * items
    return RowSlots(groups, slots, torch.from_numpy(table), counts), slot_of
