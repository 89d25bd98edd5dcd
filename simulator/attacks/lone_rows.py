"""Reads single devices from an exact sum: the rows that one device alone touched are multiples of its vector.

Nobody says which rows these are. They are found by lying on a line with other rows, which rows of several devices do
not. The line is the device's vector, and the side of a row says whether the device recorded its item or drew it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from client_sdk.kernel.training import Task
from fedau2.wire.contributions import Rows
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.quantise import vector
from simulator.attacks.recommenders.contract import rows_of
from simulator.population.population import Members, Population

LEAST = 3
"""Fewest rows of a group. Two rows may lie on a line by chance."""

APART = 1e-4
"""Largest 1 - |cosine| of two rows on a line. Rounding of integers moves rows by less."""

_RIGHT = 5e-5
"""Largest 1 - |cosine| of a group's line and the vector of its device: 1% of its length."""

_BLOCK = 512
_WEAK = 1e-12


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of a sum that lie on one line.

    Attributes:
        line: of length 1, (width,).
        rows: numbers of the rows.
        recorded: those whose items the device recorded. They are on the side of the fewer, because devices draw more
            items than they record. They are all of the rows where devices draw none.
    """

    line: NDArray[np.float64]
    rows: NDArray[np.int64]
    recorded: NDArray[np.int64]


@dataclass(frozen=True)
class Read:
    """The yield of an attack on a sum.

    Attributes:
        devices: number of contributions in the sum.
        read: devices whose vector's direction was read.
        recorded: items that the devices recorded, each counted for each of its devices.
        items: recorded items that were read with a device's vector.
        wrong: items that were read so and that the device did not record.
        foreign: groups that do not belong to one device.
    """

    devices: int
    read: int
    recorded: int
    items: int
    wrong: int
    foreign: int


@dataclass(frozen=True, eq=False)
class Sum:
    """The sum of one table over some devices.

    Attributes:
        total: (items, width).
        touched: number of devices that touched each row, (items,).
        parts: the devices' own rows, which the server does not see.
        members: the devices.
    """

    total: NDArray[np.float64]
    touched: NDArray[np.int64]
    parts: Sequence[Rows]
    members: Sequence[int] = ()

    @classmethod
    def of(cls, task: Task, population: Population, members: Members, round_number: int, table: str) -> "Sum":
        """Adds up what some clients would send: integers where the manifest has a policy of secure sums."""
        shape = tuple(task.shared[table].shape)
        total, touched, parts = np.zeros(shape), np.zeros(shape[0], np.int64), []
        layout = Layout.of(task.manifest)
        for member in members.tolist():
            sent = population.contribution(task, round_number, member)
            rows = rows_of(sent, table)
            if task.manifest.HasField("secure_sums"):
                integers = vector(sent, task.manifest.secure_sums, layout)
                total += integers[layout.tensors[table]].reshape(shape)
                touched += integers[layout.touched]
            else:
                total[rows.indices] += rows.values
                touched[rows.indices] += rows.values.any(axis=1)
            parts.append(rows)
        return cls(total, touched, parts, members.tolist())

    def noisy(self, noise: NDArray[np.integer]) -> "Sum":
        """Returns the sum with noise on it, in integers, of the table's size."""
        return replace(self, total=self.total + noise.reshape(self.total.shape))

    def closed(self, threshold: int) -> "Sum":
        """Returns the sum without the rows that fewer devices touched."""
        return replace(self, total=np.where((self.touched < threshold)[:, None], 0, self.total))


def groups(total: NDArray[np.floating], draws: bool = True) -> list[Group]:
    """Finds the groups of rows that lie on a line.

    Args:
        total: the sum, (items, width).
        draws: True if devices touch the rows of items that they draw as well.
    """
    norms = np.linalg.norm(total, axis=1)
    rows = np.flatnonzero(norms > _WEAK * norms.max(initial=0.0))
    unit = (total[rows] / norms[rows, None]).astype(np.float32)
    _, label = connected_components(_on_a_line(unit), directed=False)
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [_group(unit[part], rows[part], draws) for part in parts if len(part) >= LEAST]


def _on_a_line(unit: NDArray[np.float32]) -> "coo_array":
    pairs = []
    for start in range(0, len(unit), _BLOCK):
        first, second = np.nonzero(np.abs(unit[start : start + _BLOCK] @ unit.T) >= 1 - APART)
        pairs.append((first + start, second))
    ends = np.concatenate([np.stack(pair) for pair in pairs], axis=1) if pairs else np.zeros((2, 0), np.int64)
    return coo_array((np.ones(ends.shape[1], np.bool_), (ends[0], ends[1])), shape=(len(unit), len(unit)))


def _group(unit: NDArray[np.float32], rows: NDArray[np.int64], draws: bool) -> Group:
    line = np.linalg.svd(unit.astype(np.float64), full_matrices=False)[2][0]
    ahead = unit @ line > 0
    fewer = ahead if 2 * ahead.sum() < len(rows) else ~ahead
    return Group(line, rows, rows[fewer] if draws else rows)


def judge(found: Sequence[Group], parts: Sequence[Rows], interactions: Sequence[NDArray[np.int64]]) -> Read:
    """Compares the groups that were found with the devices that the sum is of.

    Args:
        found: the groups.
        parts: the devices' own rows of the table.
        interactions: rows of the catalogue that each device recorded.
    """
    lines = np.array([np.linalg.svd(part.values.astype(np.float64), full_matrices=False)[2][0] for part in parts])
    read: set[int] = set()
    items = wrong = foreign = 0
    for group in found:
        device = int(np.abs(lines @ group.line).argmax())
        near = abs(float(lines[device] @ group.line)) >= 1 - _RIGHT
        if not near or not np.isin(group.rows, parts[device].indices).all():
            foreign += 1
            continue
        right = int(np.isin(group.recorded, interactions[device]).sum())
        read.add(device)
        items += right
        wrong += len(group.recorded) - right
    recorded = sum(map(len, interactions))
    return Read(len(parts), len(read), recorded, items, wrong, foreign)
