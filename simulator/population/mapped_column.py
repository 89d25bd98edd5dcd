"""A column in a memory-mapped file, in which rows are written where they are needed.

The file has room for several versions of each client's row. One version of a row is current: reads return it, and
writes replace it. A version that is held is never written to; the next write to such a row goes to a free version. So
a state is kept without a copy, and it stays intact if the process that trains on ends at any point.

A row that was never written has the version `UNWRITTEN`, and reads as what its client starts with. So clients who never
train cost nothing: files have holes, and grow by the page as rows are written.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from fedau2.v1.tensors_pb2 import TensorSpec
from simulator.errors import DiskSpaceError, explain

UNWRITTEN = -1
"""The version of a row that was never written."""

_REMEMBERED = 2**22
"""Numbers that are remembered of what was drawn, since a client's tensors are asked for one after another."""


class RowFile:
    """A file of rows that grows as they are written; it is closed when nobody has it.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, os.open(path, os.O_RDWR)
        finalize(self, os.close, self._file)

    def write(self, place: int, row: bytes) -> None:
        """Writes a row.

        Raises:
            DiskSpaceError: the disk is full or broken.
        """
        try:
            while row:
                # Not through the map: a write to a map on a full disk would kill the process.
                written = os.pwrite(self._file, row, place)
                place, row = place + written, row[written:]
        except OSError as error:
            raise DiskSpaceError(f"{self._path} cannot grow: {explain(error)}") from error

    def flush(self) -> None:
        """Writes all changes to disk."""
        os.fsync(self._file)


class Initial:
    """The rows that clients start with, drawn from their keys where they are asked for.

    Args:
        specs: of the private tensors.
        keys: of the clients.
    """

    def __init__(self, specs: Sequence[TensorSpec], keys: Sequence[bytes]) -> None:
        numbers = sum(math.prod(spec.shape) for spec in specs)
        drawn = lru_cache(max(1, _REMEMBERED // max(1, numbers)))(lambda client: draws.initial(specs, keys[client]))
        self._drawn: Callable[[int], Mapping[str, NDArray[np.float32]]] = drawn

    def rows(self, name: str, clients: NDArray[np.int64]) -> NDArray[np.float32]:
        """Draws a tensor of some clients, (n, ...), n > 0."""
        return np.stack([self._drawn(client)[name] for client in clients.tolist()])


Unwritten = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Returns the rows of some clients that were never written, (n, ...)."""


@dataclass(frozen=True, eq=False)
class Version:
    """A version of a mapped column, for reading.

    Attributes:
        rows: the mapped file, (versions, clients, ...).
        where: the version number of each client's row, or `UNWRITTEN`, int8 (clients,).
        unwritten: draws the rows that were never written; None: these are zeros.
    """

    rows: NDArray[np.float32]
    where: NDArray[np.int8]
    unwritten: Unwritten | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, (clients, ...)."""
        return self.rows.shape[1:]

    def __getitem__(self, clients: int | NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns a copy of the row of a client (...), or of the rows of several clients (n, ...)."""
        several = np.atleast_1d(np.asarray(clients))
        where = self.where[several]
        rows: NDArray[np.float32] = self.rows[np.maximum(where, 0), several]
        fresh = where == UNWRITTEN
        if fresh.any():
            rows[fresh] = 0 if self.unwritten is None else self.unwritten(several[fresh])
        return rows if np.ndim(clients) else rows[0]

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        """Reads the numbers from `start` to `stop` of each client's flattened row, (clients, stop - start)."""
        versions, clients = self.rows.shape[:2]
        block: NDArray[np.float32] = self.rows.reshape(versions, clients, -1)[
            np.maximum(self.where, 0), np.arange(clients), start:stop
        ]
        for client in np.flatnonzero(self.where == UNWRITTEN).tolist():
            block[client] = self[client].reshape(-1)[start:stop]
        return block


@dataclass(frozen=True, eq=False)
class MappedColumn(Version):
    """A column in a file, with its held versions.

    Attributes:
        file: for writing.
        held: for each held version, by name, the version number of each client's row, int8 (clients,).
    """

    file: RowFile
    held: dict[str, NDArray[np.int8]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, shape: tuple[int, ...], unwritten: Unwritten | None) -> Self:
        """Opens a column in which nothing is known to be written."""
        rows = np.asarray(np.memmap(path, np.float32, "r", shape=shape))
        return cls(rows, np.full(shape[1], UNWRITTEN, np.int8), unwritten, RowFile(path))

    def __setitem__(self, clients: int | NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Writes rows, (...) or (n, ...). Threads may write to different clients at the same time.

        Raises:
            DiskSpaceError: the disk is full. A held version stays as it was.
        """
        several = np.atleast_1d(np.asarray(clients))
        taken = np.zeros((len(self.rows), len(several)), np.bool_)
        for where in self.held.values():
            taken |= np.arange(len(self.rows))[:, None] == where[several]
        free = taken.argmin(0)
        rows = np.ascontiguousarray(values, np.float32).reshape(len(several), -1)
        places = (free * self.shape[0] + several) * rows.shape[1] * 4
        for place, row in zip(places.tolist(), rows, strict=True):
            self.file.write(place, row.tobytes())
        self.where[several] = free

    def hold(self, name: str) -> Version:
        """Holds the current version under a name; the version that had the name before is released."""
        return self.hold_at(name, self.where)

    def hold_at(self, name: str, where: NDArray[np.integer]) -> Version:
        """Holds the version with these version numbers, such as `where` of an earlier process."""
        self.held[name] = where.astype(np.int8)
        return Version(self.rows, self.held[name], self.unwritten)
