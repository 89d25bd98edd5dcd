"""Saves and restores the state of an unfinished run, so that an interrupted run goes on where it was."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle import ITEMS, PLAN
from export.plan import planfile
from export.plan.schema import Plan
from fedau2 import files
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire import blobs
from fedau2.wire.blobs import Tensors
from fedau2.wire.errors import BlobError
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.engines.engine import RoundEngine
from simulator.errors import ConfigError, explain
from simulator.evaluation.ranking import Ranks
from simulator.population import columns
from simulator.population.columns import BEST, SAVED, Column, MappedState, snapshot
from simulator.population.mapped_column import Version
from simulator.population.population import Population

_ROWS = "progress.json"
_FILES = "progress-*.safetensors"
_DATA = "dataset.json"
CONFIG = "config.yaml"
"""The file of a run folder that holds its configuration."""

_PARTS = ("values", "first", "second")


@dataclass
class Best:
    """The state that validation NDCG@10 chooses, shared and private. All metrics come from it.

    Attributes:
        ranks: of the test items after personal steps; None: the devices take none.
    """

    round: int = 0
    ndcg: float = -1.0
    checkpoint: Tensors = field(default_factory=dict)
    private: Mapping[str, Column] = field(default_factory=dict)
    ranks: Ranks | None = None

    def offer(self, round_number: int, ndcg: float, checkpoint: Tensors, private: Mapping[str, Column]) -> bool:
        """Keeps it if it is better than what was seen before, and returns whether it is."""
        better = ndcg > self.ndcg
        if better:
            self.round, self.ndcg = round_number, ndcg
            self.checkpoint = dict(checkpoint)
            self.private = {name: snapshot(column) for name, column in private.items()}
        return better


@dataclass
class Standing:
    """The progress of a run.

    Attributes:
        best: the chosen state so far.
        rows: one per round trained, for `rounds.parquet`.
    """

    best: Best = field(default_factory=Best)
    rows: list[dict[str, Any]] = field(default_factory=list)


def save(
    folder: Path, configuration: Mapping[str, Any], engine: RoundEngine, population: Population, standing: Standing
) -> None:
    """Saves the state of a batched run in place of the state that the folder holds.

    A fleet's state is not saved, since its coordinator holds a part of it. For mapped private state the rows of the
    maps that are current are noted, and held until the next call.

    Args:
        folder: of the run.
        configuration: document of the run's configuration.
        engine: of the run.
        population: the clients.
        standing: progress of the run.
    """
    if engine.resumable is None:
        return
    shared, state, best = engine.resumable.snapshot(), population.state, standing.best
    private = {part: getattr(state, part) for part in _PARTS}
    ranks = {} if best.ranks is None else {name: value for name, value in vars(best.ranks).items() if value is not None}
    groups = {**shared, "best": best.checkpoint, **private, "best_private": best.private, "best_ranks": ranks}
    arrays = {f"{group}/{name}": _noted(value) for group, values in groups.items() for name, value in values.items()}
    arrays["steps"] = state.steps.astype(np.float32)
    mapped = isinstance(state, MappedState)
    about = {
        "configuration": configuration,
        "rows": standing.rows,
        "best": [best.round, best.ndcg],
        "mapped": mapped,
    }
    sha256 = blobs.sha256(data := blobs.pack(arrays)).hex()
    if isinstance(state, MappedState):
        state.flush()
    current = _file(folder, sha256)
    for path, content in ((current, data), (folder / _ROWS, json.dumps(about | {"sha256": sha256}).encode())):
        files.write(path, content)  # until the second is there, it names the file before
    for path in folder.glob(_FILES):
        if path != current:
            path.unlink()
    if isinstance(state, MappedState):
        state.hold(SAVED)


def _file(folder: Path, sha256: str) -> Path:
    return folder / _FILES.replace("*", sha256[:16])


def _noted(column: Column) -> NDArray[np.float32]:
    """Returns the numbers that are saved of a column: the current rows of a map, or the whole column."""
    return column.where.astype(np.float32) if isinstance(column, Version) else column[...]


def restore(folder: Path, engine: RoundEngine, population: Population) -> Standing:
    """Puts engine and population back to the saved state; returns a new standing if no whole state is saved."""
    resumable, left = engine.resumable, _read(folder)
    if resumable is None or left is None:
        return Standing()
    standing, arrays = left.standing, {name: value.copy() for name, value in left.arrays.items()}
    state, best = population.state, standing.best
    state.steps[:] = arrays.pop("steps")
    private: dict[str, Column] = {}
    ranks: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {**{group: {} for group in resumable.snapshot()}, "best": best.checkpoint}
    groups |= {part: getattr(state, part) for part in _PARTS}
    for key, value in arrays.items():
        group, _, name = key.partition("/")
        if group == "best_private":
            private[name] = state.values[name].hold_at(BEST, value) if left.mapped else value
        elif group == "best_ranks":
            ranks[name] = value
        elif group in _PARTS and left.mapped:
            groups[group][name].where[:] = value
        else:
            groups[group][name] = value
    best.private, best.ranks = private, Ranks(**ranks) if ranks else None
    if isinstance(state, MappedState):
        state.hold(SAVED)
    resumable.restore({group: groups[group] for group in resumable.snapshot()}, len(standing.rows))
    return standing


def mapped(folder: Path, specs: Sequence[TensorSpec], keys: Sequence[bytes]) -> MappedState | None:
    """Opens the maps of an interrupted run, before `restore`; None if there is no state to go on with."""
    left = _read(folder)
    return MappedState.open(folder, specs, keys) if left is not None and left.mapped else None


@dataclass(frozen=True)
class _Left:
    """The state that `save` left."""

    configuration: dict[str, Any] | None  # of earlier versions, which did not note it: None
    standing: Standing
    arrays: Tensors
    mapped: bool


def _read(folder: Path) -> _Left | None:
    if not (folder / _ROWS).exists():
        return None
    try:
        about = json.loads((folder / _ROWS).read_text("utf-8"))
        data = _file(folder, about["sha256"]).read_bytes()
        if blobs.sha256(data).hex() != about["sha256"]:
            return None  # damaged: start again
        standing = Standing(Best(*about["best"]), about["rows"])
        return _Left(about.get("configuration"), standing, blobs.unpack(data), about.get("mapped", False))
    except (OSError, ValueError, KeyError, TypeError, BlobError):
        return None  # damaged: start again


def unfinished(folder: Path) -> bool:
    """Returns whether a folder holds an interrupted run that can go on."""
    return _read(folder) is not None


def other_settings(folder: Path, config: Config) -> list[str]:
    """Returns what differs between a configuration and that of the run in a folder, see `Config.differences`.

    An interrupted run has the configuration that it was begun with, whatever `config.yaml` says.

    Raises:
        ConfigError: the folder holds a configuration that cannot be read.
    """
    path, left = folder / CONFIG, _read(folder)
    others = [Config.load(path).document()] if path.exists() else []
    others += [left.configuration] if left and left.configuration else []
    return sorted({difference for other in others for difference in config.differences(other)})


def note(folder: Path, config: Config, plan: Plan, dataset: Dataset) -> None:
    """Writes configuration, plan and data of a run, before it begins or goes on in a folder.

    `expect_same` has passed the folder.

    Args:
        folder: of the run.
        config: of the run.
        plan: the run's, resolved; with the item ids it is all that `fedau2-export bundle --from-run` needs.
        dataset: the run's.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        config.save(folder / CONFIG)
        files.write(folder / PLAN, planfile.write(plan).encode())
        files.write(folder / ITEMS, "".join(f"{item}\n" for item in dataset.items).encode())
        if not (folder / _DATA).exists():
            files.write(folder / _DATA, f"{json.dumps(_about(dataset) | {'notes': dataset.remarks()})}\n".encode())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {explain(error)}") from error


def _about(dataset: Dataset) -> dict[str, Any]:
    sizes = {"users": len(dataset.users), "items": len(dataset.items), "interactions": len(dataset.item)}
    return {**sizes, "sha256": dataset.fingerprint()}


def expect_same(folder: Path, dataset: Dataset) -> None:
    """Checks that a run that goes on, or is there already, is on the same data.

    Raises:
        ConfigError: its users, items, interactions or attributes differ from those when the run began.
    """
    path = folder / _DATA
    if not path.exists() and not unfinished(folder):
        return
    now = _about(dataset)
    try:
        before = json.loads(path.read_text("utf-8"))
        sizes = [key for key in now if key != "sha256"]
        changes = [f"{before[key]:,} {key}, now {now[key]:,}" for key in sizes if before[key] != now[key]]
        same = before["sha256"] == now["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: choose another folder, or remove this one") from error
    if not same:
        raise ConfigError(
            f"{folder} holds a run on other data of the name {dataset.name}: "
            f"{'; '.join(changes) or 'as large, but not the same'}: choose another folder, or bring the data back"
        )


def discard(folder: Path) -> None:
    """Removes the saved state and mapped private state."""
    for pattern in (_ROWS, _FILES):
        for path in (*folder.glob(pattern), *folder.glob(f"{pattern}.tmp")):
            path.unlink(missing_ok=True)
    columns.discard(folder)
