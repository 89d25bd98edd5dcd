"""The state of an unfinished run, in memory and on disk: an interrupted run goes on where it was."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from client_sdk.state import Columns
from fedau2.wire import blobs
from fedau2.wire.blobs import Tensors
from simulator.batched import BatchedEngine
from simulator.datasets import Dataset
from simulator.engine import Engine
from simulator.errors import ConfigError
from simulator.population import Population

_FILE = "progress.safetensors"
_ROWS = "progress.json"
_DATA = "dataset.json"


@dataclass
class Best:
    """The state that validation NDCG@10 chooses: shared and private, from which all figures come."""

    round: int = 0
    ndcg: float = -1.0
    checkpoint: Tensors = field(default_factory=dict)
    private: Columns = field(default_factory=dict)

    def offer(self, round_number: int, ndcg: float, checkpoint: Tensors, private: Columns) -> None:
        """Keeps a copy if it is better than what was seen before."""
        if ndcg > self.ndcg:
            self.round, self.ndcg = round_number, ndcg
            self.checkpoint = dict(checkpoint)
            self.private = {name: column.copy() for name, column in private.items()}


@dataclass
class Standing:
    """How far a run is.

    Attributes:
        best: the chosen state so far.
        rows: one per round trained, for `rounds.parquet`.
    """

    best: Best = field(default_factory=Best)
    rows: list[dict[str, Any]] = field(default_factory=list)


def save(folder: Path, engine: Engine, population: Population, standing: Standing) -> None:
    """Replaces what the folder holds; of a batched run only, since a fleet's state is its coordinator's too."""
    if not isinstance(engine, BatchedEngine):
        return
    groups = _groups(engine, population, standing.best)
    arrays = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
    arrays["steps"] = population.state.steps.astype(np.float32)
    about = {"rows": standing.rows, "best": [standing.best.round, standing.best.ndcg]}
    about["sha256"] = blobs.sha256(data := blobs.pack(arrays)).hex()
    for name, content in ((_FILE, data), (_ROWS, json.dumps(about).encode())):
        fresh = folder / f"{name}.new"
        fresh.write_bytes(content)
        fresh.replace(folder / name)


def restore(folder: Path, engine: Engine, population: Population) -> Standing:
    """Puts engine and population where they were; a new standing if the folder holds nothing that is whole."""
    if not isinstance(engine, BatchedEngine) or not (folder / _ROWS).exists():
        return Standing()
    try:
        about, data = json.loads((folder / _ROWS).read_text()), (folder / _FILE).read_bytes()
        whole = blobs.sha256(data).hex() == about["sha256"]
    except (OSError, ValueError, KeyError):
        whole = False
    if not whole:
        return Standing()  # damaged, or interrupted between the two files: start again
    standing = Standing(Best(*about["best"]), about["rows"])
    arrays = {name: value.copy() for name, value in blobs.unpack(data).items()}
    population.state.steps[:] = arrays.pop("steps")
    groups = _groups(engine, population, standing.best)
    for key, value in arrays.items():
        group, _, name = key.partition("/")
        groups[group][name] = value
    engine.resume(len(standing.rows))
    return standing


def expect_same(folder: Path, dataset: Dataset) -> None:
    """Notes which data a run is on; a run that goes on must be on the same.

    Raises:
        ConfigError: its users, items, interactions or attributes are others than when the run began.
    """
    now = {"users": len(dataset.users), "items": len(dataset.items), "interactions": len(dataset.item)}
    about = {**now, "sha256": dataset.fingerprint()}
    path = folder / _DATA
    if not path.exists():
        fresh = folder / f"{_DATA}.new"
        fresh.write_text(json.dumps(about) + "\n")
        fresh.replace(path)
        return
    try:
        before = json.loads(path.read_text())
        changes = [f"{before[key]:,} {key}, now {now[key]:,}" for key in now if before[key] != now[key]]
        same = before["sha256"] == about["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: choose another folder, or remove this one") from error
    if not same:
        raise ConfigError(
            f"{folder} holds a run on other data of the name {dataset.name}: "
            f"{'; '.join(changes) or 'as large, but not the same'}: choose another folder, or bring the data back"
        )


def discard(folder: Path) -> None:
    """Removes what `save` left."""
    for name in (_FILE, _ROWS):
        (folder / name).unlink(missing_ok=True)


def _groups(engine: BatchedEngine, population: Population, best: Best) -> dict[str, dict[str, Any]]:
    state = population.state
    return {
        "checkpoint": engine.checkpoint,
        "server": engine.server_state,
        "values": state.values,
        "first": state.first,
        "second": state.second,
        "best": best.checkpoint,
        "best_private": best.private,
    }
