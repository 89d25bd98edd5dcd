"""Samples of many clients as arrays, and their layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk.draws import Samples
from client_sdk.kernel.batch import Batch, RowSlots
from client_sdk.kernel.operations import SampleLists
from fedau2_native import Library


@dataclass(frozen=True, eq=False)
class Drawn(Sequence[Sequence[Samples]]):
    """The samples of B clients, one after another, each by local step.

    Attributes:
        starts: where the samples of each step begin, and the end of all: int64 (B * steps + 1,).
        steps: number of local steps.
        items, labels, weights: see `Samples`.
        noise: the recommender's own, float32 (B, steps, w).
    """

    starts: NDArray[np.int64]
    steps: int
    items: NDArray[np.int64]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32]
    noise: NDArray[np.float32]

    @classmethod
    def of(cls, samples: SampleLists) -> "Drawn":
        """Joins samples, by client, then local step."""
        if isinstance(samples, Drawn):
            return samples
        flat = [step for client in samples for step in client]
        noise = np.stack([step.noise for step in flat]).reshape(len(samples), len(samples[0]), -1)
        return cls(
            ends([len(step.items) for step in flat]),
            len(samples[0]),
            np.concatenate([step.items for step in flat]),
            np.concatenate([step.labels for step in flat]),
            np.concatenate([step.weights for step in flat]),
            noise,
        )

    def __len__(self) -> int:
        """The number of clients."""
        return (len(self.starts) - 1) // self.steps

    @overload
    def __getitem__(self, client: int) -> Sequence[Samples]: ...
    @overload
    def __getitem__(self, client: slice) -> Sequence[Sequence[Samples]]: ...
    def __getitem__(self, client: int | slice) -> Sequence[Samples] | Sequence[Sequence[Samples]]:
        """The samples of a client by local step, as views."""
        if isinstance(client, slice):
            return [self[number] for number in range(*client.indices(len(self)))]
        if not 0 <= client < len(self):
            raise IndexError(client)
        return [self._step(client, step) for step in range(self.steps)]

    def _step(self, client: int, step: int) -> Samples:
        first = client * self.steps + step
        part = slice(self.starts[first], self.starts[first + 1])
        return Samples(self.items[part], self.labels[part], self.weights[part], self.noise[client, step])


def ends(lengths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns 0 and the running sums of some lengths, int64 (n + 1,)."""
    sums = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=sums[1:])
    return sums


@dataclass(frozen=True, eq=False)
class Ragged(Batch):
    """A batch without padding, whose groups may differ in length. It has each pair of client and item once.

    Attributes:
        firsts: where the samples of each group begin, and the end of all: int64 (G + 1,).
    """

    firsts: NDArray[np.int64]


def layout(
    library: Library, samples: SampleLists, items: int, *, summed: bool, by_item: bool
) -> tuple[RowSlots, list[Batch]]:
    """Lays out samples as `client_sdk.kernel.batch.layout` does, in batches without padding.

    In summed form `by_item` sorts them by item, and otherwise they are sorted by client.
    """
    drawn = Drawn.of(samples)
    clients, groups = len(drawn), 1 if summed else len(drawn)
    slot_of, counts = np.empty(groups * items, np.int32), np.empty(groups, np.int64)
    starts = np.ascontiguousarray(drawn.starts[:: drawn.steps])
    library.touch(groups, clients, items, starts, drawn.items, slot_of, counts)
    slots = int(counts.max())
    keys = np.flatnonzero(slot_of >= 0)
    group = keys // items
    table = np.zeros(groups * slots, np.int64)
    table[group * slots + slot_of[keys]] = keys - group * items
    rows = RowSlots(groups, slots, torch.from_numpy(table), counts)
    sort = by_item and groups < clients
    return rows, [_batch(library, drawn, step, slot_of, rows, items, sort) for step in range(drawn.steps)]


def _batch(
    library: Library, drawn: Drawn, step: int, slot_of: NDArray[np.int32], rows: RowSlots, items: int, sort: bool
) -> Ragged:
    starts = np.ascontiguousarray(drawn.starts[step : -1 : drawn.steps])
    stops = np.ascontiguousarray(drawn.starts[step + 1 :: drawn.steps])
    most = int((stops - starts).sum())
    slot, client = np.empty(most, np.int64), np.empty(most, np.int64)
    labels, weights = np.empty(most, np.float32), np.empty(most, np.float32)
    firsts = np.empty(rows.groups + 1, np.int64)
    size = library.join(
        rows.groups, len(drawn), items, rows.slots, sort, starts, stops, drawn.items, drawn.labels, drawn.weights,
        slot_of, slot, client, labels, weights, firsts,
    )  # fmt: skip
    return Ragged(
        groups=rows.groups,
        clients=len(drawn),
        slot=torch.from_numpy(slot[:size]),
        client=torch.from_numpy(client[:size]),
        labels=torch.from_numpy(labels[:size]),
        weights=torch.from_numpy(weights[:size]),
        noise=torch.from_numpy(np.ascontiguousarray(drawn.noise[:, step])),
        firsts=firsts,
    )
