"""What a run costs its clients: bytes, CPU and parameters."""

import math
from typing import Any

import numpy as np
import pandas as pd

from client_sdk.kernel.training import CohortTraining, Task
from export.bundle import Bundle
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TensorScope
from fedau2.wire import contributions
from simulator.engine import Engine
from simulator.fleet import FleetEngine
from simulator.population import Members, Population


def measure(bundle: Bundle, population: Population, engine: Engine, rounds: pd.DataFrame) -> dict[str, Any]:
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


def _traffic(bundle: Bundle, population: Population, engine: Engine, trained: int) -> tuple[float, float]:
    if isinstance(engine, FleetEngine):
        return engine.traffic.uploaded / trained, engine.traffic.downloaded / trained
    # A batched cohort uploads nothing: what some clients would upload is encoded. The rest is fetched once per device.
    members = np.arange(min(100, len(population)))
    sizes = [len(contributions.encode(each)) for each in _separate(bundle.manifest, population, engine, members)]
    return float(np.mean(sizes)), float(bundle.manifest.checkpoint.size)


def _separate(task: TaskManifest, population: Population, engine: Engine, members: Members) -> list[Any]:
    cohort = population.cohort(task, 0, members)
    return CohortTraining(Task.load(task, engine.checkpoint), 0, cohort, summed=False).run().contributions()


def _parameters(task: TaskManifest) -> dict[str, int]:
    counts: dict[str, int] = {}
    for spec in task.tensors:
        scope = TensorScope.Name(spec.scope).removeprefix("TENSOR_SCOPE_").lower()
        counts[scope] = counts.get(scope, 0) + math.prod(spec.shape)
    return counts
