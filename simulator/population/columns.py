"""Private state of many clients as columns: arrays in memory, or memory maps where they would fill it.

A mapped column has room for several versions of each client's row, and reads and writes its current one. A version that
is held is never written to: the next write to such a row goes to a free version of it. So a state is kept without a
copy, and stays whole whatever happens to a process that trains on; nothing has to be undone to go back.
"""

import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.tensors_pb2 import TensorSpec
from simulator.errors import DiskSpaceError

LIMIT = 2**30
"""Bytes of private state, Adam's moments included, from which on it is mapped."""

SAVED, BEST = "saved", "best"
"""What is held: the state that an interrupted run goes back to, and the one that validation chose."""

_VERSIONS = {"values": 3, "first": 2, "second": 2}
"""Versions of each row by part of the state: one to write to beside those that are held."""

_FOLDER = "private"


class Column(Protocol):
    """A tensor of all clients, (clients, ...); an array or what reads like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(clients, ...)."""

    def __getitem__(self, clients: Any, /) -> Any:  # noqa: ANN401 - as NumPy has it
        """Rows of a client (...) or of some clients (n, ...), by number or numbers."""


@dataclass(frozen=True, eq=False)
class Version:
    """A state of a mapped column; to be read.

    Attributes:
        rows: the map, (versions, clients, ...).
        where: which version of each client's row it is made of, int64 (clients,).
    """

    rows: NDArray[np.float32]
    where: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """(clients, ...)."""
        return self.rows.shape[1:]

    def __getitem__(self, clients: int | NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows of a client (...) or of some clients (n, ...)."""
        found: NDArray[np.float32] = self.rows[self.where[clients], clients]
        return found


@dataclass(frozen=True, eq=False)
class MappedColumn(Version):
    """A column in a file, with the versions of it that are held.

    Attributes:
        held: of each version that is kept which rows it is made of, int64 (clients,).
    """

    held: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def __setitem__(self, clients: int | NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Writes rows, (...) or (n, ...). Threads may write to different clients at once."""
        taken = np.zeros((len(self.rows), *np.shape(clients)), np.bool_)
        for where in self.held.values():
            taken |= np.arange(len(self.rows)).reshape(-1, *[1] * np.ndim(clients)) == where[clients]
        free = taken.argmin(0)
        self.rows[free, clients] = values
        self.where[clients] = free

    def hold(self, name: str) -> Version:
        """Keeps the current version under a name, instead of what was kept under it before."""
        return self.hold_at(name, self.where)

    def hold_at(self, name: str, where: NDArray[np.integer]) -> Version:
        """Keeps the version that is made of these rows, as `where` of an earlier process has them."""
        self.held[name] = where.astype(np.int64)
        return Version(self.rows, self.held[name])


class State(Protocol):
    """Private tensors of all clients with the state of their Adam: `PrivateState`, or `MappedState`."""

    @property
    def values(self) -> Mapping[str, Any]:
        """The tensors, columns by name."""

    @property
    def first(self) -> Mapping[str, Any]:
        """Adam's first moments."""

    @property
    def second(self) -> Mapping[str, Any]:
        """Adam's second moments."""

    @property
    def steps(self) -> NDArray[np.int64]:
        """Adam steps taken, (clients,)."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A state that is only read; attributes as those of `State`."""

    values: Mapping[str, Column]
    first: Mapping[str, Column]
    second: Mapping[str, Column]
    steps: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MappedState:
    """A population's private state in a folder of files.

    Attributes:
        values, first, second, steps: as those of `PrivateState`.
        maps: what the columns are in.
    """

    values: dict[str, MappedColumn]
    first: dict[str, MappedColumn]
    second: dict[str, MappedColumn]
    steps: NDArray[np.int64]
    maps: Sequence["np.memmap[Any, np.dtype[np.float32]]"]

    @classmethod
    def create(cls, folder: Path, specs: Iterable[TensorSpec], clients: int) -> Self:
        """A state of zeros in a run folder, in place of what is there.

        Raises:
            DiskSpaceError: there is not enough disk for it.
        """
        discard(folder)
        expect_room(folder, specs, clients)
        files = _files(folder, specs, clients)
        (folder / _FOLDER).mkdir()
        for path, shape in files.items():
            with path.open("xb") as file:
                file.truncate(_bytes(shape))
                if hasattr(os, "posix_fallocate"):
                    # Reserved at once: a write to a map on a disk that has become full would end the process.
                    os.posix_fallocate(file.fileno(), 0, _bytes(shape))
        return cls._open(folder, specs, clients)

    @classmethod
    def open(cls, folder: Path, specs: Iterable[TensorSpec], clients: int) -> Self | None:
        """What an interrupted run left in a run folder, to be told which rows are current; None if it is not whole."""
        for path, shape in _files(folder, specs, clients).items():
            if not path.is_file() or path.stat().st_size != _bytes(shape):
                return None
        return cls._open(folder, specs, clients)

    @classmethod
    def _open(cls, folder: Path, specs: Iterable[TensorSpec], clients: int) -> Self:
        files = _files(folder, specs, clients)
        maps = [np.memmap(path, np.float32, "r+", shape=shape) for path, shape in files.items()]
        parts: dict[str, dict[str, MappedColumn]] = {part: {} for part in _VERSIONS}
        for path, rows in zip(files, maps, strict=True):
            part, _, name = path.name.partition(".")
            parts[part][name] = MappedColumn(np.asarray(rows), np.zeros(clients, np.int64))
        return cls(**parts, steps=np.zeros(clients, np.int64), maps=maps)

    def flush(self) -> None:
        """Makes what was written survive a crash of the machine."""
        for each in self.maps:
            each.flush()

    def hold(self, name: str) -> None:
        """Keeps the whole state as it is now."""
        for part in _VERSIONS:
            for column in getattr(self, part).values():
                column.hold(name)


def expect_room(folder: Path, specs: Iterable[TensorSpec], clients: int) -> None:
    """Checks that the private state of so many clients could be mapped in a folder, which need not be there.

    Raises:
        DiskSpaceError: there is not enough disk for it.
    """
    needed = sum(map(_bytes, _files(folder, specs, clients).values()))
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    own = sum(path.stat().st_blocks * 512 for path in (folder / _FOLDER).glob("*"))  # would go first
    free = shutil.disk_usage(there).free + own
    if needed > free:
        raise DiskSpaceError(
            f"private state of {clients:,} clients needs {needed / 1e9:.1f} GB of disk in {folder}, where "
            f"{free / 1e9:.1f} GB are free: make room, or choose a folder on another disk"
        )


def is_large(specs: Iterable[TensorSpec], clients: int) -> bool:
    """Whether the private state of so many clients is to be mapped."""
    numbers = sum(math.prod(spec.shape) for spec in specs) * clients
    return len(_VERSIONS) * 4 * numbers > LIMIT


def keep(column: Column) -> Column:
    """The column as it is now, whatever is written to it afterwards; of a mapped one only the last kept is kept."""
    return column.hold(BEST) if isinstance(column, MappedColumn) else column[:].copy()


def block(column: Column, start: int, stop: int) -> NDArray[np.float32]:
    """Some of the numbers of every client's row, laid out flat, (clients, stop - start)."""
    clients, width = column.shape[0], math.prod(column.shape[1:])
    if isinstance(column, Version):
        flat = column.rows.reshape(-1, clients, width)
        return flat[column.where, np.arange(clients), start:stop]
    return np.asarray(column[:].reshape(clients, width)[:, start:stop])


def blocks(columns: Iterable[Column], numbers: int) -> Iterator[NDArray[np.float32]]:
    """All numbers of all columns, side by side, in blocks (clients, n) of at most `numbers` numbers each."""
    for column in columns:
        clients, width = column.shape[0], math.prod(column.shape[1:])
        step = max(1, numbers // clients)
        for start in range(0, width, step):
            yield block(column, start, min(start + step, width))


def discard(folder: Path) -> None:
    """Removes the files of a run folder."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)


def _files(folder: Path, specs: Iterable[TensorSpec], clients: int) -> dict[Path, tuple[int, ...]]:
    """The maps of a state and their shapes, (versions, clients, ...)."""
    return {
        folder / _FOLDER / f"{part}.{spec.name}": (versions, clients, *spec.shape)
        for spec in specs
        for part, versions in _VERSIONS.items()
    }


def _bytes(shape: tuple[int, ...]) -> int:
    return 4 * math.prod(shape)
