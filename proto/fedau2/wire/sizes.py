"""The most bytes that the blobs of a task may have, so that nobody fetches or keeps more than a task can need."""

import math
from collections.abc import Iterable

from fedau2.v1.task_pb2 import Resource, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, TensorSpec
from fedau2.wire.errors import ManifestError

MANIFEST = 2**20
"""Most bytes of a manifest."""

ITEM = 1024
"""Most bytes that the catalogue has for each item."""

_HEADER = 1024  # safetensors describes each tensor in JSON, and a name has at most 128 bytes
_NUMBER = 4  # bytes of a float32


def checkpoint(tensors: Iterable[TensorSpec]) -> int:
    """Returns the most bytes of a checkpoint that holds these tensors."""
    return _HEADER + sum(_HEADER + _NUMBER * math.prod(spec.shape) for spec in tensors)


def check(task: TaskManifest) -> None:
    """Checks the addresses of the blobs that a manifest names, and their sizes as far as its other fields bound them.

    Raises:
        ManifestError: the text says what is wrong.
    """
    shared = [spec for spec in task.tensors if spec.scope != TENSOR_SCOPE_PRIVATE]
    _check("catalogue", task.catalogue, ITEM * task.items)
    _check("checkpoint", task.checkpoint, checkpoint(shared))
    for graph in task.graphs:
        _check("graph", graph.resource, math.inf)


def check_size(name: str, size: int, most: float) -> None:
    """Returns if a blob may have so many bytes.

    Raises:
        ManifestError: it may not.
    """
    if size > most:
        raise ManifestError(f"the {name} has {size} bytes, and at most {most} can be needed")


def _check(name: str, resource: Resource, most: float) -> None:
    if len(resource.sha256) != 32 or resource.size < 1:
        raise ManifestError(f"the manifest's {name} is not a blob address")
    check_size(name, resource.size, most)
