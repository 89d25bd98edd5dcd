"""Recommendations from a cached model, by ONNX Runtime: a bundle's graphs carry no weights, the checkpoint does.

`prepare.onnx` takes the shared tensors by name and makes serving tensors of them, once per checkpoint. `recommend.onnx`
may declare these inputs: the serving tensors, the private tensors by name (without the axis of clients), the maps of an
eraser and the client's floor of noise, `history` and `seen` (int64, catalogue rows) and `k` (int64, no axes). It gives
`items` (int64, best first) and `scores` (float32).
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from client_sdk import erasing
from client_sdk.errors import NoModelError, UnsupportedTaskError
from client_sdk.onnx import step_graph
from client_sdk.onnx.graph import Arrays, Graph
from client_sdk.onnx.limits import Limits
from client_sdk.protocol import manifests
from client_sdk.protocol.interfaces import Store
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND, GraphKind, Resource, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire import encodings
from fedau2.wire.blobs import Tensors
from fedau2.wire.errors import WireError

OUTPUTS = ("items", "scores")
"""Names of the outputs of recommend.onnx, in order."""

_LIMITS = Limits()

_NEEDED = {step_graph.FLOOR, *map(step_graph.map_of, ("matrix", "offset", "scale", "frequencies", "witness", "shift"))}
"""Inputs without which a graph for recommending shows what an eraser is to erase."""


class ServedModel:
    """One model version, ready to recommend. Safe between threads.

    Args:
        task: the manifest.
        checkpoint: shared tensors by name.
        prepare: the graph, as ONNX bytes.
        recommend: the graph, as ONNX bytes.
        limits: bounds of each run of a graph.

    Raises:
        UnsupportedTaskError: the graphs are not this task's, or cannot be run here.
        ResourceLimitError: preparing takes more than the limits say.
    """

    def __init__(
        self, task: TaskManifest, checkpoint: Arrays, prepare: bytes, recommend: bytes, limits: Limits = _LIMITS
    ) -> None:
        names = {spec.name for spec in task.tensors if spec.scope == TENSOR_SCOPE_SHARED}
        shared = {name: tensor for name, tensor in checkpoint.items() if name in names}
        self.task = task
        serving = Graph(prepare, task, GRAPH_KIND_PREPARE, limits).run(shared)
        # The outputs of a run lie in the runtime's arena. Copies let the arena free all that the run took.
        self._serving = {name: value.copy() for name, value in serving.items()}
        self._eraser = erasing.of(task, checkpoint)
        self._graph = Graph(recommend, task, GRAPH_KIND_RECOMMEND, limits, outputs=OUTPUTS)
        if self._eraser and not self._graph.inputs >= _NEEDED:
            raise UnsupportedTaskError("the plan has an eraser, and the task's graph for recommending does not erase")

    def erasing(self, key: bytes, labels: Mapping[str, int], version: int) -> Arrays:
        """Returns what the graph takes to erase a client's attributes, by name; nothing if the plan has no eraser.

        Args:
            key: the client's 16 secret bytes.
            labels: the client's class numbers by name, as far as they are known.
            version: round of the checkpoint.
        """
        if self._eraser is None:
            return {}
        plan, maps = self._eraser
        return {**step_graph.mapped(maps.of_user(plan, labels)), step_graph.FLOOR: maps.noise(plan, key, version)}

    @classmethod
    def load(cls, store: Store, model: Model, trust: Trust) -> Self:
        """Loads a model version from the blobs of a store.

        Raises:
            NoModelError: a blob is missing, or was damaged.
            UnsupportedTaskError: the task cannot be run here.
            ResourceLimitError: preparing takes more than the limits say.
            UntrustedTaskError: it is not signed as it should be.
        """
        data = _blob(store, model.manifest)
        trust.check(data)
        try:
            task = manifests.parse(data)
        except WireError as error:
            raise UnsupportedTaskError(str(error)) from error
        prepare, recommend = (_blob(store, _graph(task, kind)) for kind in (GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND))
        return cls(task, checkpoint(store, model), prepare, recommend)

    def recommend(
        self, k: int, history: NDArray[np.int64], private: Arrays, hidden: NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """The best items that are not hidden.

        Args:
            k: number of items, at least 1; the result has fewer where fewer are left.
            history: the client's positives as catalogue rows, sorted and unique, (h,).
            private: the client's private tensors by name, without the axis of clients, and its `erasing`.
            hidden: rows to leave out; None: those of `history`.

        Returns:
            Catalogue rows and scores, best first.

        Raises:
            UnsupportedTaskError: the graph cannot be run here.
            ResourceLimitError: it takes more than the limits say.
        """
        items, scores = self._run(k, history, private, history if hidden is None else hidden)
        unseen = np.isfinite(scores)  # a seen item has the score -inf
        return list(zip(items[unseen].tolist(), scores[unseen].tolist(), strict=True))

    def scores(self, history: NDArray[np.int64], private: Arrays) -> NDArray[np.float32]:
        """The scores of all items, float32 (items,): the best k with k the number of items, put back into their order.

        The arguments and the errors are those of `recommend`.
        """
        items, scores = self._run(self.task.items, history, private, np.zeros(0, np.int64))
        if len(np.unique(items)) != self.task.items:
            raise UnsupportedTaskError("the task's graph for recommending does not give every item once")
        ordered = np.empty(self.task.items, np.float32)
        ordered[items] = scores
        return ordered

    def _run(
        self, k: int, history: NDArray[np.int64], private: Arrays, seen: NDArray[np.int64]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        inputs = {"history": history, "seen": seen, "k": np.array(min(k, self.task.items), np.int64)}
        items, scores = self._graph.run({**self._serving, **private, **inputs}).values()
        if not self._listed(items) or items.shape != scores.shape:
            raise UnsupportedTaskError("the task's graph for recommending does not give items and their scores")
        return items, scores

    def _listed(self, rows: NDArray[Any]) -> bool:
        return rows.ndim == 1 and rows.dtype == np.int64 and bool(((rows >= 0) & (rows < self.task.items)).all())


def checkpoint(store: Store, model: Model) -> Tensors:
    """Reads a model version's tensors from the blobs of a store.

    Raises:
        NoModelError: the blob is missing, or was damaged.
        UnsupportedTaskError: it is not a checkpoint.
    """
    try:
        return encodings.decode(_blob(store, model.checkpoint))
    except WireError as error:
        raise UnsupportedTaskError(str(error)) from error


def _blob(store: Store, resource: Resource) -> bytes:
    data = store.blob(resource)
    if data is None:
        raise NoModelError("a part of the model is missing or was damaged: call sync() to fetch it again")
    return data


def _graph(task: TaskManifest, kind: GraphKind.ValueType) -> Resource:
    for graph in task.graphs:
        if graph.kind == kind:
            return graph.resource
    raise UnsupportedTaskError(f"the task brings no {GraphKind.Name(kind)}, so it cannot recommend")
