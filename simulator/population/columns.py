"""Private state of many clients as columns: arrays in memory, or memory-mapped files where the state is large."""

import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.tensors_pb2 import TensorSpec
from simulator.errors import DiskSpaceError
from simulator.population.mapped_column import Initial, MappedColumn, Version

LIMIT = 2**30
"""Size of the private state, Adam's moments included, above which it is mapped to files: in bytes."""

SAVED, BEST = "saved", "best"
"""Names of held versions: the state from which an interrupted run resumes, and the best state by validation."""

_VERSIONS = {"values": 3, "first": 2, "second": 2}
"""Number of versions of each row, by part of the state: the held ones, and one more to write to."""

_FOLDER = "private"

_AT_ONCE = 64
"""Clients that are written at a time."""


class Column(Protocol):
    """A tensor of all clients, (clients, ...): an array, or an object that can be read like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, (clients, ...)."""

    def __getitem__(self, clients: Any, /) -> Any:  # noqa: ANN401 - NumPy's signature
        """Returns the row of a client (...), or the rows of several clients (n, ...)."""


class State(Protocol):
    """Private tensors of all clients with the state of their Adam optimizers: `PrivateState`, or `MappedState`."""

    @property
    def values(self) -> Mapping[str, Any]:
        """The tensors: columns by name."""

    @property
    def first(self) -> Mapping[str, Any]:
        """Adam's first moments: columns by name."""

    @property
    def second(self) -> Mapping[str, Any]:
        """Adam's second moments: columns by name."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """Number of Adam steps of each client, (clients,)."""


@dataclass(frozen=True, eq=False)
class ReadOnlyState:
    """A state for reading; its attributes are those of `State`."""

    values: Mapping[str, Column]
    first: Mapping[str, Column]
    second: Mapping[str, Column]
    steps: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MappedState:
    """A population's private state in a folder of files. Nobody has written to it yet.

    Attributes:
        values, first, second, steps: the same as in `State`.
    """

    values: dict[str, MappedColumn]
    first: dict[str, MappedColumn]
    second: dict[str, MappedColumn]
    steps: NDArray[np.int64]

    @classmethod
    def create(cls, folder: Path, specs: Sequence[TensorSpec], keys: Sequence[bytes], *, reserve: bool = False) -> Self:
        """Creates a state in a run folder, in which nothing is written; an existing one is removed.

        Args:
            folder: of the run.
            specs: of the private tensors.
            keys: of the clients.
            reserve: True to take the space of all clients now, as every one will be written.

        Raises:
            DiskSpaceError: the disk has too little free space.
        """
        discard(folder)
        expect_room(folder, specs, len(keys))
        files = _files(folder, specs, len(keys))
        (folder / _FOLDER).mkdir()
        for path, shape in files.items():
            with path.open("xb") as file:
                file.truncate(_bytes(shape))
                if reserve and hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, _bytes(shape))
        return cls._open(folder, specs, keys)

    @classmethod
    def open(cls, folder: Path, specs: Sequence[TensorSpec], keys: Sequence[bytes]) -> Self | None:
        """Opens the files that an interrupted run left in a run folder; None if they are incomplete.

        The caller sets which version of each row is current.
        """
        for path, shape in _files(folder, specs, len(keys)).items():
            if not path.is_file() or path.stat().st_size != _bytes(shape):
                return None
        return cls._open(folder, specs, keys)

    @classmethod
    def _open(cls, folder: Path, specs: Sequence[TensorSpec], keys: Sequence[bytes]) -> Self:
        initial = Initial(specs, keys)
        parts: dict[str, dict[str, MappedColumn]] = {part: {} for part in _VERSIONS}
        for path, shape in _files(folder, specs, len(keys)).items():
            part, _, name = path.name.partition(".")
            parts[part][name] = MappedColumn.open(
                path, shape, partial(initial.rows, name) if part == "values" else None
            )
        return cls(**parts, steps=np.zeros(len(keys), np.int64))

    def write_all(self) -> None:
        """Writes what all clients start with, so that it need not be drawn again where all are read."""
        for clients in np.array_split(np.arange(len(self.steps)), 1 + len(self.steps) // _AT_ONCE):
            for column in self.values.values():
                column[clients] = column[clients]

    def flush(self) -> None:
        """Writes all changes to disk, so that they survive a crash of the machine."""
        for part in _VERSIONS:
            for column in getattr(self, part).values():
                column.file.flush()

    def hold(self, name: str) -> None:
        """Holds the current version of every column under a name."""
        for part in _VERSIONS:
            for column in getattr(self, part).values():
                column.hold(name)


def expect_room(folder: Path, specs: Iterable[TensorSpec], clients: int) -> None:
    """Checks that a folder, which need not exist yet, has enough disk space for the private state of the clients.

    Raises:
        DiskSpaceError: the disk has too little free space.
    """
    needed = sum(map(_bytes, _files(folder, specs, clients).values()))
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    reclaimed = sum(path.stat().st_blocks * 512 for path in (folder / _FOLDER).glob("*"))  # `create` removes these
    free = shutil.disk_usage(existing).free + reclaimed
    if needed > free:
        raise DiskSpaceError(
            f"private state of {clients:,} clients needs {needed / 1e9:.1f} GB of disk in {folder}, where "
            f"{free / 1e9:.1f} GB are free: free some space, or choose a folder on another disk"
        )


def is_large(specs: Iterable[TensorSpec], clients: int) -> bool:
    """Decides if the private state of the clients must be mapped to files."""
    numbers = sum(math.prod(spec.shape) for spec in specs) * clients
    return len(_VERSIONS) * 4 * numbers > LIMIT


def snapshot(column: Column) -> Column:
    """Takes a snapshot that later writes do not change. A mapped column keeps only its latest snapshot."""
    return column.hold(BEST) if isinstance(column, MappedColumn) else column[:].copy()


def block(column: Column, start: int, stop: int) -> NDArray[np.float32]:
    """Reads the numbers from `start` to `stop` of each client's flattened row, (clients, stop - start)."""
    clients, width = column.shape[0], math.prod(column.shape[1:])
    if isinstance(column, Version):
        return column.block(start, stop)
    return np.asarray(column[:].reshape(clients, width)[:, start:stop])


def blocks(columns: Iterable[Column], numbers: int) -> Iterator[NDArray[np.float32]]:
    """Yields all numbers of all columns side by side, in blocks (clients, n) of at most `numbers` numbers."""
    for column in columns:
        clients, width = column.shape[0], math.prod(column.shape[1:])
        step = max(1, numbers // clients)
        for start in range(0, width, step):
            yield block(column, start, min(start + step, width))


def discard(folder: Path) -> None:
    """Removes the mapped files of a run folder."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)


def _files(folder: Path, specs: Iterable[TensorSpec], clients: int) -> dict[Path, tuple[int, ...]]:
    """Lists the files of a state and their shapes, (versions, clients, ...)."""
    return {
        folder / _FOLDER / f"{part}.{spec.name}": (versions, clients, *spec.shape)
        for spec in specs
        for part, versions in _VERSIONS.items()
    }


def _bytes(shape: tuple[int, ...]) -> int:
    return 4 * math.prod(shape)
