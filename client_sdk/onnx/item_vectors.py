"""The model's own vectors of items: its shared tables side by side."""

import numpy as np
from numpy.typing import NDArray

from client_sdk.onnx.graph import Arrays
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_SHARED


def of(task: TaskManifest, checkpoint: Arrays) -> NDArray[np.float32]:
    """Returns a vector for each item of the catalogue, of length 1 or 0, float32 (items, width)."""
    tables = [s.name for s in task.tensors if s.kind == TENSOR_KIND_TABLE and s.scope == TENSOR_SCOPE_SHARED]
    vectors = np.concatenate([checkpoint[name].reshape(task.items, -1) for name in tables], axis=1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: NDArray[np.float32] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def nearest(vectors: NDArray[np.float32], row: int, among: NDArray[np.int64], k: int) -> list[tuple[int, float]]:
    """Returns the k rows whose vectors have the largest cosines to a row's, with these cosines, largest first."""
    others = among[among != row]
    cosines = vectors[others] @ vectors[row]
    order = np.argsort(-cosines, kind="stable")[:k]
    return list(zip(others[order].tolist(), cosines[order].tolist(), strict=True))
