"""What a run costs its clients: bytes, CPU and parameters."""

import math
from collections.abc import Container
from typing import Any

import numpy as np
import pandas as pd

from client_sdk.kernel.training import Task
from export.bundle import Bundle
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TensorScope
from fedau2.wire import contributions
from fedau2.wire.contributions import Rows, Update
from simulator.engines.batched import BatchedEngine
from simulator.engines.engine import RoundEngine
from simulator.engines.fleet import FleetEngine
from simulator.population.population import Population


def measure(bundle: Bundle, population: Population, engine: RoundEngine, rounds: pd.DataFrame) -> dict[str, Any]:
    """Totals and means over the run.

    Returns:
        `clients_trained`; per contribution `bytes_up`, `bytes_down` and `cpu_ms` of the engine's process;
        `parameters` by scope.
    """
    trained = int(rounds["clients"].sum())
    up, down = _traffic(bundle, population, engine, trained)
    return {
        "clients_trained": trained,
        "bytes_up": up,
        "bytes_down": down,
        "cpu_ms": 1e3 * float(rounds["cpu_seconds"].sum()) / trained,
        "parameters": _parameters(bundle.manifest),
    }


def _traffic(bundle: Bundle, population: Population, engine: RoundEngine, trained: int) -> tuple[float, float]:
    if isinstance(engine, FleetEngine):
        return engine.traffic.uploaded / trained, engine.traffic.downloaded / trained
    # A batched cohort uploads nothing: what some clients would upload is encoded. The rest is fetched once per device.
    members = np.arange(min(100, len(population)))
    task = Task.load(bundle.manifest, engine.checkpoint)
    noisy = engine.noise.shared if isinstance(engine, BatchedEngine) else ()
    sizes = [len(contributions.encode(_contribution(task, population, member, noisy))) for member in members.tolist()]
    return float(np.mean(sizes)), float(bundle.manifest.checkpoint.size)


def _contribution(task: Task, population: Population, member: int, noisy: Container[str]) -> dict[str, Update]:
    # One at a time: each may be as large as the model.
    contribution = population.contribution(task, 0, member)
    # Noise is on every row.
    return {
        name: np.zeros(task.shared[name].shape, np.float32) if name in noisy and isinstance(update, Rows) else update
        for name, update in contribution.items()
    }


def _parameters(task: TaskManifest) -> dict[str, int]:
    counts: dict[str, int] = {}
    for spec in task.tensors:
        scope = TensorScope.Name(spec.scope).removeprefix("TENSOR_SCOPE_").lower()
        counts[scope] = counts.get(scope, 0) + math.prod(spec.shape)
    return counts
