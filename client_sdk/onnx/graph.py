"""A graph of a bundle in ONNX Runtime, bound to its task. Importing this module loads no ONNX Runtime."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from client_sdk.errors import ResourceLimitError, UnsupportedTaskError
from client_sdk.onnx import runtime
from client_sdk.onnx.limits import Limits
from client_sdk.onnx.watchdog import WATCHDOG
from client_sdk.protocol import inspection
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, GraphKind, TaskManifest

if TYPE_CHECKING:
    from onnxruntime import RunOptions

Arrays = Mapping[str, NDArray[Any]]
_LIMITS = Limits()


def metadata(task: TaskManifest, kind: GraphKind.ValueType) -> dict[str, str]:
    """The `metadata_props` that a graph of this task must have.

    Graphs are built once per task, so they are bound to what stays the same in a task: bundle format, model and
    catalogue. A checkpoint changes with every round; the shapes of its tensors are checked when `prepare.onnx` is run
    on them. A training graph is bound to the names of the plan's parameters too: it was made for these and no others.
    """
    parameters = {"fedau2.parameters": ",".join(sorted(task.plan.parameters))} if kind == GRAPH_KIND_STEP else {}
    return {
        "fedau2.graph": GraphKind.Name(kind),
        "fedau2.format": str(task.format),
        "fedau2.model": task.model,
        "fedau2.items": str(task.items),
        "fedau2.catalogue": task.catalogue.sha256.hex(),
        **parameters,
    }


class Graph:
    """A graph, loaded on one thread and with ONNX Runtime's telemetry off. Safe between threads.

    Args:
        data: ONNX bytes.
        task: the task that it must be bound to.
        kind: its purpose.
        limits: bounds of a run.
        compiled: see `runtime.session`.
        outputs: names of the outputs that runs give; None: all that it has.

    Raises:
        ForbiddenGraphError: it holds what no graph may hold; the runtime has not seen it.
        UnsupportedTaskError: it cannot be loaded, belongs to another task, or lacks one of the outputs.
    """

    def __init__(
        self,
        data: bytes,
        task: TaskManifest,
        kind: GraphKind.ValueType,
        limits: Limits = _LIMITS,
        compiled: Path | None = None,
        outputs: Sequence[str] | None = None,
    ) -> None:
        graph = inspection.inspected(data, kind)
        self._name, self._limits = GraphKind.Name(kind), limits
        try:
            self._session = runtime.session(graph, limits, compiled)
        except Exception as error:  # its errors have no common root
            raise UnsupportedTaskError(f"the task's {self._name} cannot be loaded: {error}") from error
        self._check(metadata(task, kind))
        self._inputs = [value.name for value in self._session.get_inputs()]
        available = [value.name for value in self._session.get_outputs()]
        self._outputs = available if outputs is None else outputs
        if lacking := sorted(set(self._outputs) - set(available)):
            raise UnsupportedTaskError(f"the task's {self._name} does not give {', '.join(lacking)}")

    def _check(self, expected: Mapping[str, str]) -> None:
        properties = self._session.get_modelmeta().custom_metadata_map
        for key, value in expected.items():
            if properties.get(key) != value:
                raise UnsupportedTaskError(
                    f"the task's {self._name} was not made for it (its {key} is {properties.get(key)!r} and not "
                    f"{value!r}): build the bundle again with fedau2-export"
                )

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the inputs that the graph declares."""
        return frozenset(self._inputs)

    def run(self, available: Arrays) -> dict[str, NDArray[Any]]:
        """Runs the graph and returns its outputs by name.

        Args:
            available: inputs by name; those that the graph does not declare are left out.

        Raises:
            UnsupportedTaskError: the graph declares other inputs, or cannot be run on these.
            ResourceLimitError: the run takes more memory or time than the limits allow.
        """
        if missing := sorted(set(self._inputs) - available.keys()):
            raise UnsupportedTaskError(f"the task's {self._name} wants inputs that this SDK does not have: {missing}")
        with self._bounded() as options:
            values = self._session.run(self._outputs, {name: available[name] for name in self._inputs}, options)
        return dict(zip(self._outputs, values, strict=True))

    @contextmanager
    def _bounded(self) -> Iterator["RunOptions"]:
        """Gives options that end a run when its time is over, and return its memory to the system."""
        options = runtime.shrinking()
        try:
            with WATCHDOG.watching(options, self._limits.seconds):
                yield options
        except Exception as error:  # its errors have no common root
            if options.terminate or runtime.is_out_of_memory(error):
                raise ResourceLimitError(f"the task's {self._name} takes more than {self._limits}: {error}") from error
            raise UnsupportedTaskError(f"the task's {self._name} cannot be run: {error}") from error
