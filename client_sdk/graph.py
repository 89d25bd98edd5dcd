"""A graph of a bundle in ONNX Runtime, and what binds it to its task. Importing this module loads no ONNX Runtime."""

import os
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from client_sdk.errors import UnsupportedTaskError
from fedau2.v1.task_pb2 import GraphKind, TaskManifest

Arrays = Mapping[str, NDArray[Any]]


def metadata(task: TaskManifest, kind: GraphKind.ValueType) -> dict[str, str]:
    """What a graph of this task says of itself, in its `metadata_props`.

    Graphs are built once per task, so they are bound to what a task keeps: bundle format, model and catalogue. A
    checkpoint changes with every round; its tensors' shapes are checked when `prepare.onnx` is run on them.
    """
    return {
        "fedau2.graph": GraphKind.Name(kind),
        "fedau2.format": str(task.format),
        "fedau2.model": task.model,
        "fedau2.items": str(task.items),
        "fedau2.catalogue": task.catalogue.sha256.hex(),
    }


class Graph:
    """A graph, loaded on one thread and with ONNX Runtime's telemetry off. Safe between threads.

    Args:
        data: ONNX bytes.
        task: the task that it must be bound to.
        kind: what it must be for.

    Raises:
        UnsupportedTaskError: it cannot be loaded, or is another task's.
    """

    def __init__(self, data: bytes, task: TaskManifest, kind: GraphKind.ValueType) -> None:
        self._name = GraphKind.Name(kind)
        # The wheel's telemetry starts with the import and leaves a device id on the disk; this is what turns it off.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep every intermediate tensor for ever
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common root
            raise UnsupportedTaskError(f"the task's {self._name} cannot be loaded: {error}") from error
        self._check(metadata(task, kind))
        self._inputs = [each.name for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]

    def _check(self, expected: Mapping[str, str]) -> None:
        found = self._session.get_modelmeta().custom_metadata_map
        for key, value in expected.items():
            if found.get(key) != value:
                raise UnsupportedTaskError(
                    f"the task's {self._name} was not made for it (its {key} is {found.get(key)!r} and not {value!r}): "
                    "build the bundle again with fedau2-export"
                )

    def run(self, available: Arrays) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name.

        Args:
            available: inputs by name, more than the graph wants perhaps.

        Raises:
            UnsupportedTaskError: it wants other inputs, or cannot be run on these.
        """
        if missing := sorted(set(self._inputs) - available.keys()):
            raise UnsupportedTaskError(f"the task's {self._name} wants inputs that this SDK does not have: {missing}")
        try:
            values = self._session.run(self._outputs, {name: available[name] for name in self._inputs})
        except Exception as error:  # its errors have no common root
            raise UnsupportedTaskError(f"the task's {self._name} cannot be run: {error}") from error
        return dict(zip(self._outputs, values, strict=True))
