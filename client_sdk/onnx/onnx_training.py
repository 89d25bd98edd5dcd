"""A local update by a task's training graph. Importing this module loads no runtime.

Samples are laid out as `step_graph` describes. The outputs of a step become the start of the next step, the private
state and the contribution.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws, erasing
from client_sdk.draws import Samples, Stream
from client_sdk.errors import DamagedTaskError, UnsupportedTaskError
from client_sdk.matching import NOBODY
from client_sdk.onnx import private_adam, step_graph
from client_sdk.onnx.graph import Graph
from client_sdk.plan import TrainingPlan
from client_sdk.protocol.values import ClientData, Job, PrivateState, Report, TrainingResult
from client_sdk.weights import weighed
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE, TENSOR_SCOPE_SHARED
from fedau2.wire import encodings, erasers, manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Rows, Update
from fedau2.wire.errors import BlobError

Outputs = dict[str, NDArray[Any]]

TILE = 16_384
"""Samples that the graph is run on at once, which bounds its memory however much the user has recorded."""


@dataclass(frozen=True, eq=False)
class GraphTask:
    """A manifest with its graph and a checkpoint, ready to train on.

    Attributes:
        manifest: checked.
        plan: the manifest's.
        graph: the training graph.
        tensors: the checkpoint's.
        tables: names of the shared tables.
        recommender: names of the recommender's tensors in the checkpoint.
        numbers: the plan's, and what the checkpoint publishes of matchings and the eraser, as the graph takes them.
    """

    manifest: TaskManifest
    plan: TrainingPlan[Mapping[str, float]]
    graph: Graph
    tensors: Tensors
    tables: frozenset[str]
    recommender: frozenset[str]
    numbers: Mapping[str, NDArray[Any]]

    @classmethod
    def load(cls, job: Job, graph: Graph) -> "GraphTask":
        """Makes a task of a job and its loaded graph.

        Raises:
            DamagedTaskError: the checkpoint cannot be read.
            UnsupportedTaskError: it does not fit the manifest.
        """
        try:
            tensors = encodings.decode(job.tensors)
        except BlobError as error:
            raise DamagedTaskError(f"the checkpoint cannot be read: {error}") from error
        return cls.of(job.manifest, graph, tensors)

    @classmethod
    def of(cls, task: TaskManifest, graph: Graph, tensors: Tensors) -> "GraphTask":
        """Makes a task of a checkpoint's tensors.

        Raises:
            UnsupportedTaskError: they do not fit the manifest.
        """
        specs = manifest.shared(task)
        if {name: value.shape for name, value in tensors.items()} != {n: tuple(s.shape) for n, s in specs.items()}:
            raise UnsupportedTaskError("the checkpoint's tensors are not those of the manifest")
        tables = frozenset(name for name, spec in specs.items() if spec.kind == TENSOR_KIND_TABLE)
        plan = TrainingPlan.of(task)
        numbers = step_graph.numbers(plan.parameters, plan.adversaries) | step_graph.matched(plan.matchings, tensors)
        if plan.eraser:
            numbers |= step_graph.mapped(erasing.Maps.of(plan.eraser, tensors))
        recommender = frozenset(name for name, spec in specs.items() if spec.scope == TENSOR_SCOPE_SHARED)
        return cls(task, plan, graph, tensors, tables, recommender, numbers)


@dataclass(frozen=True, eq=False)
class Drawn:
    """All randomness of one client's training.

    Attributes:
        samples: per local step.
        noise: per adversary, float32 (steps, 2, classes).
        places: of the client in the sums of the eraser, float32 (1, folds * classes); None without an eraser.
    """

    samples: Sequence[Samples]
    noise: Mapping[str, NDArray[np.float32]]
    places: NDArray[np.float32] | None = None

    @classmethod
    def draw(
        cls, plan: TrainingPlan[Mapping[str, float]], round_number: int, client: ClientData, family: int = 0
    ) -> "Drawn":
        """Draws from the client's own key, as the kernel does; `family` is as in `draws.drawn`.

        Raises:
            NoDataError: the client has nothing to train on.
            UnsupportedTaskError: the recommender draws in a way that is not known here.
        """
        drawn = draws.drawn(plan, client.interactions, client.key, round_number, family=family)
        samples = weighed(drawn, plan.draw, client.interactions, client.weights)
        noise = draws.generator(client.key, round_number, family + Stream.NOISE)
        places = None
        if plan.eraser:
            labels = {name: [client.labels.get(name, -1)] for name, _ in plan.eraser.erased}
            places = erasing.places(plan.eraser, [client.key], labels)
        return cls(samples, draws.noise(plan.adversaries, plan.local.steps, noise), places)


class OnnxTraining:
    """A local update of one client under way; `interfaces.Training`.

    Args:
        task: what to train.
        round_number: the assignment's.
        drawn: all randomness.
        labels: class number per adversary name; absent where the attribute is not known.
        state: the client's private state.

    Raises:
        UnsupportedTaskError: a sample's row is not in the catalogue.
    """

    def __init__(
        self, task: GraphTask, round_number: int, drawn: Drawn, labels: Mapping[str, int], state: PrivateState
    ) -> None:
        self._task, self._plan, self._drawn, self._labels, self._state = task, task.plan, drawn, labels, state
        rows = np.concatenate([step.items for step in drawn.samples])
        _check_rows(rows, task.manifest.items)
        self._numbers = {**task.numbers, step_graph.ROUND: np.array(round_number, np.int64)}
        self._rows = _places(rows, task.manifest.items)[0]
        self._shared = {n: v[self._rows] if n in task.tables else v for n, v in task.tensors.items()}
        self._statistics = frozenset(erasers.tensors(task.manifest.plan))
        self._moves = self._plan.moves(round_number)
        self._carried = [n for n in self._shared if self._moves or n not in task.recommender]
        self._sums: Tensors = {}
        self._taken: list[Mapping[str, NDArray[Any]]] = []

    @property
    def steps(self) -> int:
        """Local steps in all."""
        return self._plan.local.steps

    def step(self) -> None:
        """Takes the next local step.

        Raises:
            UnsupportedTaskError: the graph cannot be run on this client, or does not give what it should.
            ResourceLimitError: it takes more memory or time than the limits say.
        """
        outputs = self._gradients(len(self._taken))
        self._taken.append({name: outputs[name] for name in outputs if not name.startswith(step_graph.GRADIENT)})
        gradients = {name: outputs[step_graph.GRADIENT + name] for name in self._carried}
        if self._moves:
            private = {name: outputs[step_graph.GRADIENT + name] for name in self._state.values}
            self._state = private_adam.step(self._state, private, self._plan.local.private_learning_rate)
        self._advance(gradients)

    def _gradients(self, step: int) -> Outputs:
        """The outputs of a step; the gradients of tables are of all rows that the training touches."""
        samples = self._drawn.samples[step]
        # Gradients of samples that are independent of each other add up. Labels are passed to the first run only.
        size = TILE if self._task.manifest.draw == DRAW_CONTRASTS else len(samples.items)
        outputs = self._run(samples.part(0, size), step, self._labels)
        for start in range(size, len(samples.items), size):
            for name, value in self._run(samples.part(start, start + size), step, None).items():
                if name == step_graph.LOSS or name.startswith(step_graph.GRADIENT):
                    outputs[name] = outputs[name] + value
        return outputs

    def _run(self, samples: Samples, step: int, labels: Mapping[str, int] | None) -> Outputs:
        rows, first, slot = _places(samples.items, self._task.manifest.items)
        again = np.ones(len(slot), np.bool_)
        again[first] = False
        place = None if len(rows) == len(self._rows) else np.searchsorted(self._rows, rows)
        tables = self._task.tables
        shared = {n: v[place] if n in tables and place is not None else v for n, v in self._shared.items()}
        inputs = {**shared, **self._state.values, **self._numbers, **self._of_client(step, labels)}
        inputs |= {step_graph.SLOT: slot, step_graph.LABEL: samples.labels, step_graph.WEIGHT: samples.weights}
        inputs |= {step_graph.FIRST: first, step_graph.AGAIN: np.flatnonzero(again)}
        inputs |= {step_graph.ROW: rows, step_graph.NOISE: samples.noise[None]}
        outputs = self._task.graph.run(inputs)
        _check_shapes(outputs, shared | self._state.values)
        _check_report(outputs, self._drawn.noise)
        if place is not None:
            for name in (step_graph.GRADIENT + table for table in tables):
                outputs[name] = _spread(outputs[name], place, len(self._rows))
        return outputs

    def _of_client(self, step: int, labels: Mapping[str, int] | None) -> Outputs:
        """The inputs that say who the client is, for all that unlearns; without labels it takes no part."""
        given = labels or {}
        known: Outputs = {step_graph.label_of(n): np.array([given.get(n, -1)], np.int64) for n in self._drawn.noise}
        for each in self._plan.matchings:
            row = NOBODY if labels is None else given.get(each.name, each.classes)
            known[step_graph.row_of(each.name)] = np.array([row], np.int64)
        if self._drawn.places is not None:
            counts = labels is not None and step == 0  # the sums are of the states before the first step
            known[step_graph.PLACES] = self._drawn.places if counts else 0 * self._drawn.places
        return known | {step_graph.noise_of(name): drawn[step][None] for name, drawn in self._drawn.noise.items()}

    def _advance(self, gradients: Tensors) -> None:
        if self.steps == 1:
            self._sums = gradients
            return
        # Start minus end is summed up separately: subtracting the two would lose its small digits.
        for name, gradient in gradients.items():
            if name in self._statistics:  # of the first step alone
                self._sums.setdefault(name, gradient)
                continue
            scaled = gradient * np.float32(self._plan.local.shared_learning_rate)
            self._shared[name] = self._shared[name] - scaled
            self._sums[name] = self._sums[name] + scaled if name in self._sums else scaled

    def finish(self) -> TrainingResult:
        """The result, once all steps have been taken."""
        names = [adversary.name for adversary in self._plan.adversaries]
        silent = tuple(manifest.adversary_prefix(name) for name in names if self._labels.get(name, -1) < 0)
        contribution: dict[str, Update] = {
            name: Rows(self._rows, value) if name in self._task.tables else value
            for name, value in self._sums.items()
            if not name.startswith(silent)
        }
        triggered = {n: np.stack([step[step_graph.triggered_of(n)] for step in self._taken], 1) for n in names}
        margin = {n: np.stack([step[step_graph.margin_of(n)] for step in self._taken], 1) for n in names}
        return TrainingResult(contribution, self._state, Report(self._taken[-1][step_graph.LOSS], triggered, margin))


def _check_rows(rows: NDArray[np.int64], items: int) -> None:
    """Checks rows, which no runtime does: ONNX counts negative rows from the end."""
    if rows.min() < 0 or rows.max() >= items:
        wrong = rows[(rows < 0) | (rows >= items)][0]
        raise UnsupportedTaskError(f"the client's interactions name row {wrong} of a catalogue of {items} items")


def _places(items: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The different rows among `items` in increasing order, their first places, and the number of each item's row."""
    first_of = np.full(count, -1)
    first_of[items[::-1]] = np.arange(len(items))[::-1]  # where an item repeats, the last assignment stays
    rows = np.flatnonzero(first_of >= 0)
    slot_of = np.empty(count, np.int64)
    slot_of[rows] = np.arange(len(rows))
    return rows, first_of[rows], slot_of[items]


def _check_shapes(outputs: Outputs, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Checks a graph's gradients before they become private state."""
    for name, tensor in tensors.items():
        gradient = outputs[step_graph.GRADIENT + name]
        if gradient.shape != tensor.shape or gradient.dtype != np.float32:
            raise UnsupportedTaskError(
                f"the task's training graph gives {name} a gradient of shape {gradient.shape} and type "
                f"{gradient.dtype}, where the tensor has {tensor.shape} and float32"
            )


def _check_report(outputs: Outputs, adversaries: Iterable[str]) -> None:
    """Checks a graph's outputs besides gradients."""
    expected: dict[str, type[np.generic]] = {step_graph.LOSS: np.float32}
    for name in adversaries:
        expected |= {step_graph.margin_of(name): np.float32, step_graph.triggered_of(name): np.bool_}
    for name, dtype in expected.items():
        if outputs[name].shape != (1,) or outputs[name].dtype != dtype:
            raise UnsupportedTaskError(f"the task's training graph gives {name} in another shape or type than (1,)")


def _spread(gradient: NDArray[np.float32], place: NDArray[np.int64], rows: int) -> NDArray[np.float32]:
    """Rows at their places among all rows of the training, the others 0."""
    out = np.zeros((rows, *gradient.shape[1:]), np.float32)
    out[place] = gradient
    return out
