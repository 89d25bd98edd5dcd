"""The state that a run keeps where it is asked to: the chosen tensors, shared and private, of every user.

The folder `state` holds the state that was measured, and beside it the one that was trained where the configuration
changes it afterwards. Each has its shared tensors in `shared.safetensors`, and the private tensors of all users in a
file of their own, `private.NAME.npy`, which is read as far as it is needed. Adam's moments are not kept.
"""

import json
import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle import Bundle
from fedau2 import files
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import blobs, manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.errors import BlobError
from simulator.config.config import Config
from simulator.errors import DamagedRunError, DiskSpaceError, StateVersionError
from simulator.experiment.after_training import Measured, is_changed
from simulator.experiment.resume import Best
from simulator.experiment.train import Trained
from simulator.population.columns import Column
from simulator.population.population import Population

FOLDER = "state"
"""The folder of a run folder that holds the state."""

VERSION = 1
"""The version of its format; another one is refused."""

_ABOUT, _SHARED = "state.json", "shared.safetensors"
_MEASURED, _TRAINED = "measured", "trained"
_FLOOR = "floor."
_CLIENTS = 256
"""Clients whose rows are written at a time."""


@dataclass(frozen=True, eq=False)
class State:
    """The tensors of a model version with all of its users.

    Attributes:
        shared: shared tensors by name.
        private: private tensors of all users by name, (users, ...), in the order of the data set's users. They are read
            from the disk where they are used.
        addends: of states that are computed of each user anew, by name, (users, ...).
    """

    shared: Tensors
    private: Mapping[str, NDArray[np.float32]]
    addends: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def size(specs: Iterable[TensorSpec], clients: int) -> int:
    """Returns the bytes of the private tensors of so many clients."""
    return 4 * clients * sum(math.prod(spec.shape) for spec in specs)


def expect_room(folder: Path, config: Config, bundle: Bundle, population: Population) -> None:
    """Checks the disk for the private state that a run is to keep, before anything is trained; `train.Expect`.

    Args:
        folder: of the run.
        config: of the run.
        bundle: the task.
        population: the clients.

    Raises:
        DiskSpaceError: the disk has too little free space.
    """
    clients, states = len(population), 2 if is_changed(config) else 1
    needed, free = states * size(manifest.private(bundle.manifest), clients), shutil.disk_usage(folder).free
    if needed > free:
        raise DiskSpaceError(
            f"the state of {clients:,} users that the run is to keep needs {needed / 1e9:.1f} GB of disk in {folder}, "
            f"where {free / 1e9:.1f} GB are free: free some space, or leave out --keep state"
        )


def write(folder: Path, trained: Trained) -> None:
    """Keeps the state of a run.

    Args:
        folder: of the run; its earlier state has been removed.
        trained: the run.

    Raises:
        OSError: the disk is full or broken.
    """
    place = folder / FOLDER
    _write_state(place / _MEASURED, trained.measured)
    if is_changed(trained.config):
        _write_state(place / _TRAINED, trained.best)
    about = {"version": VERSION, "configuration": trained.config.document(), "round": trained.best.round}
    files.write(place / _ABOUT, json.dumps(about).encode())  # last: without it there is no state


def _write_state(folder: Path, state: Measured | Best) -> None:
    folder.mkdir(parents=True)
    files.write(folder / _SHARED, blobs.pack(state.checkpoint))
    for tensor, column in state.private.items():
        _write(folder / _file(tensor), column)
    for name, column in state.addends.items() if isinstance(state, Measured) else ():
        _write(folder / f"{_FLOOR}{name}.npy", column)


def _write(path: Path, column: Column) -> None:
    """Writes a column by some clients at a time, since it may be larger than the memory."""
    out = np.lib.format.open_memmap(path, "w+", np.float32, column.shape)
    for start in range(0, column.shape[0], _CLIENTS):
        clients = np.arange(start, min(start + _CLIENTS, column.shape[0]))
        out[clients] = column[clients]
    out.flush()


def on_disk(folder: Path) -> int:
    """Returns the bytes of the state that a run kept."""
    return sum(path.stat().st_size for path in (folder / FOLDER).rglob("*") if path.is_file())


def remove(folder: Path) -> None:
    """Removes the state that a run kept."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def about(folder: Path) -> dict[str, Any] | None:
    """Returns what is noted of the state that a run kept: its `configuration` and `round`; None if it kept none.

    Raises:
        StateVersionError: it is of another version.
        DamagedRunError: it is damaged.
    """
    path = folder / FOLDER / _ABOUT
    if not path.exists():
        return None
    try:
        noted: dict[str, Any] = json.loads(path.read_text("utf-8"))
        version, _, _ = noted["version"], noted["configuration"], noted["round"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if version != VERSION:
        raise StateVersionError(
            f"{path.parent} is state of version {version}, and this FedAU2 reads version {VERSION}: use that which "
            "wrote it, or repeat the run with --keep state"
        )
    return noted


def read(folder: Path, specs: Iterable[TensorSpec], clients: int, *, trained: bool = False) -> State:
    """Opens the state that a run kept, after `about` has checked its version.

    Args:
        folder: of the run.
        specs: of the model's private tensors.
        clients: number of users.
        trained: True for the state that was trained, before anything was erased from it.

    Raises:
        DamagedRunError: it is damaged, or of another model or other users.
    """
    place = folder / FOLDER
    place /= _TRAINED if trained and (place / _TRAINED).is_dir() else _MEASURED
    private, addends = {}, {}
    try:
        shared = blobs.unpack((place / _SHARED).read_bytes())
        for spec in specs:
            # Copy on write: rows become tensors, which PyTorch wants to be writable.
            column = np.load(place / _file(spec.name), mmap_mode="c", allow_pickle=False)
            if column.shape != (clients, *spec.shape) or column.dtype != np.float32:
                raise ValueError(f"{spec.name} has another shape")
            private[spec.name] = column
        for path in place.glob(f"{_FLOOR}*.npy"):
            addends[path.name.removeprefix(_FLOOR).removesuffix(".npy")] = np.load(
                path, mmap_mode="c", allow_pickle=False
            )
    except (OSError, ValueError, BlobError) as error:
        raise _damaged(place) from error
    return State(shared, private, addends)


def _file(name: str) -> str:
    return f"private.{name}.npy"


def _damaged(path: Path) -> DamagedRunError:
    return DamagedRunError(f"{path} is damaged, or does not belong to this run: repeat the run with --keep state")
