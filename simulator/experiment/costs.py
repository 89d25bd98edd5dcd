"""The costs of a run for its clients: bytes, CPU and parameters."""

import math
from typing import Any

import pandas as pd

from export.bundle import Bundle
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TensorScope
from simulator.engines.engine import RoundEngine


def measure(bundle: Bundle, engine: RoundEngine, rounds: pd.DataFrame) -> dict[str, Any]:
    """Totals and means over the run.

    Returns:
        `clients_trained`, `parameters` by scope, and for each contribution `bytes_up`, `bytes_down` and `cpu_ms` of the
        engine's process.
    """
    trained = int(rounds["clients"].sum())
    traffic = engine.traffic(trained)
    return {
        "clients_trained": trained,
        "bytes_up": traffic.uploaded,
        "bytes_down": traffic.downloaded,
        "cpu_ms": 1e3 * float(rounds["cpu_seconds"].sum()) / trained,
        "parameters": _parameters(bundle.manifest),
    }


def _parameters(task: TaskManifest) -> dict[str, int]:
    counts: dict[str, int] = {}
    for spec in task.tensors:
        scope = TensorScope.Name(spec.scope).removeprefix("TENSOR_SCOPE_").lower()
        counts[scope] = counts.get(scope, 0) + math.prod(spec.shape)
    return counts
