"""The engine of a device: the task's training graph in ONNX Runtime, on one thread. Importing it loads no runtime."""

import math
import os
from pathlib import Path

from client_sdk.errors import MissingGraphError, ResourceLimitError
from client_sdk.onnx import step_graph
from client_sdk.onnx.graph import Graph
from client_sdk.onnx.limits import Limits
from client_sdk.onnx.onnx_training import Drawn, GraphTask, OnnxTraining
from client_sdk.protocol.values import Job
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE


class OnnxEngine:
    """Trains one client at a time; `interfaces.Engine`. Keeps the newest graph and checkpoint, for fleets.

    Args:
        limits: bounds of a local step.
        compiled: a folder of the app's own, in which graphs are kept in the runtime's own form (.ort). Later processes
            load it in half the time. None: no graph is kept, as where the folder cannot be written.
    """

    def __init__(self, limits: Limits | None = None, compiled: str | os.PathLike[str] | None = None) -> None:
        self._limits, self._compiled = limits or Limits(), None if compiled is None else Path(compiled)
        self._task: GraphTask | None = None
        self._step, self._checkpoint = b"", b""

    def begin(self, job: Job) -> "OnnxTraining":
        """Prepares one client's training.

        Raises:
            MissingGraphError: the task brings no training graph.
            UnsupportedTaskError: its training graph cannot be run here.
            DamagedTaskError: the checkpoint cannot be read.
            NoDataError: the client has nothing to train on.
            ResourceLimitError: the task is too large for the limits.
        """
        task = self.load(job)
        drawn = Drawn.draw(task.plan, job.round, job.client)
        return OnnxTraining(task, job.round, drawn, job.client.labels, job.client.state)

    def load(self, job: Job) -> GraphTask:
        """Loads a job's graph and checkpoint, unless they are those that were loaded last.

        Raises:
            MissingGraphError, UnsupportedTaskError, DamagedTaskError, ResourceLimitError: as `begin` does.
        """
        task = self._task
        if task is None or self._step != job.step or task.manifest != job.manifest:
            graph = self._graph(job)
        elif self._checkpoint != job.checkpoint.sha256:
            graph = task.graph
        else:
            return task
        task = GraphTask.load(job, graph)
        self._task, self._step, self._checkpoint = task, job.step, job.checkpoint.sha256
        return task

    def _graph(self, job: Job) -> Graph:
        if not job.step:
            raise MissingGraphError(
                "the task brings no training graph: build the bundle again with fedau2-export, or train by PyTorch "
                "(engine='torch')"
            )
        _check_size(job.manifest, self._limits)
        outputs = step_graph.outputs(job.manifest)
        return Graph(job.step, job.manifest, GRAPH_KIND_STEP, self._limits, self._compiled, outputs)


def _check_size(task: TaskManifest, limits: Limits) -> None:
    """Checks, before anything is loaded, that a step's gradients alone fit."""
    size = 4 * sum(math.prod(spec.shape) for spec in task.tensors if spec.kind != TENSOR_KIND_TABLE)
    if size > limits.memory:
        raise ResourceLimitError(f"the task's gradients take {size} bytes, more than the {limits.memory} of the limits")
