"""Compares the training graph with the kernel that it was made of, on the same random local steps."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from client_sdk import draws, erasing
from client_sdk.draws import Samples
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.onnx.graph import Graph
from client_sdk.onnx.limits import Limits
from client_sdk.onnx.onnx_training import Drawn, GraphTask, OnnxTraining
from client_sdk.plan import TrainingPlan
from client_sdk.protocol.values import PrivateState, Report
from export.bundle import Bundle
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, GRAPH_KIND_STEP, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE
from fedau2.wire import erasers, manifest, matchings
from fedau2.wire.contributions import Rows, Update

TOLERANCE = 1e-5
"""Largest relative difference of a tensor."""

DECIDED = 1e-5
"""Margin below which rounding may decide a trigger."""

_TRIES = 8

Array = NDArray[np.float32]
Result = tuple[Mapping[str, Update], PrivateState, Report]


@dataclass(frozen=True)
class Parity:
    """The differences of graph and kernel after one local step from the same state.

    Attributes:
        steps: number of steps that were compared.
        error: largest difference of a tensor's gradient, or of a private tensor or a moment of its Adam after the step,
            relative to the tensor's largest absolute value in that step. Undecided steps are not counted.
        tensor: the tensor with that difference.
        undecided: steps that rounding decides: the difference is above `TOLERANCE`, and the kernel differs from itself
            by a quarter as much or more when its inputs are off by one unit in their last place. This happens where a
            ReLU's input is 0 up to rounding, and where the terms of a gradient nearly cancel.
        fired: triggers that fired.
        shut: triggers that did not fire, of clients whose label is known.
        turned: triggers that fired in graph or kernel alone, although the margin was decided.
    """

    steps: int
    error: float
    tensor: str
    undecided: int
    fired: int
    shut: int
    turned: int


def compare(bundle: Bundle, steps: int, rng: Generator, most: int = 128) -> Parity:
    """Compares random local steps of a bundle's model. Every tenth has one sample; items often repeat.

    Args:
        bundle: a bundle with a training graph.
        steps: number of steps.
        rng: the generator of everything drawn.
        most: most samples of a step.
    """
    task = bundle.manifest
    graph = Graph(bundle.graph(GRAPH_KIND_STEP), task, GRAPH_KIND_STEP, Limits())
    errors, triggers, undecided = [(0.0, "")], np.zeros(3, np.int64), 0
    for number in range(steps):
        case = _Case.draw(task, rng, 1 if number % 10 == 0 else int(rng.integers(2, most + 1)))
        ours, kernels = case.by_graph(graph), case.by_kernel()
        triggers += _triggers(kernels[2], ours[2], case.labels)
        error = _error(ours, kernels)
        if error[0] > TOLERANCE and _moves(case, kernels, rng) >= error[0] / 4:
            undecided += 1
        else:
            errors.append(error)
    return Parity(steps, *max(errors), undecided, *triggers.tolist())


def _moves(case: "_Case", result: Result, rng: Generator) -> float:
    """The kernel's largest difference from itself, over some tries, when its inputs change in their last place."""
    return max(_error(case.nudged(rng).by_kernel(), result)[0] for _ in range(_TRIES))


@dataclass(frozen=True, eq=False)
class _Case:
    """One client's training, with everything on which its result depends."""

    task: TaskManifest
    round: int
    checkpoint: dict[str, Array]
    drawn: Drawn
    labels: Mapping[str, int]
    state: PrivateState

    @classmethod
    def draw(cls, task: TaskManifest, rng: Generator, size: int) -> "_Case":
        steps = task.plan.local.steps
        samples = [_samples(task, size, rng) for _ in range(steps)]
        plan, key = TrainingPlan.of(task), rng.bytes(16)
        labels = {part.name: int(rng.integers(-1, len(part.classes))) for part in matchings.labelled(task.plan)}
        places = None
        if plan.eraser:
            places = erasing.places(plan.eraser, [key], {name: [label] for name, label in labels.items()})
        drawn = Drawn(samples, draws.noise(plan.adversaries, steps, rng), places)
        moving = int(rng.integers(0, 10)) * (plan.passes + 1)  # in a pass there would be less to compare
        return cls(task, moving, _values(task, rng), drawn, labels, _state(task, rng))

    def nudged(self, rng: Generator) -> "_Case":
        def nudge(values: Array) -> Array:
            return values * (1 + np.float32(2**-23) * rng.integers(-1, 2, values.shape).astype(np.float32))

        samples = [replace(step, weights=nudge(step.weights)) for step in self.drawn.samples]
        return replace(
            self,
            checkpoint={name: nudge(value) for name, value in self.checkpoint.items()},
            drawn=replace(self.drawn, samples=samples),
            state=replace(self.state, values={name: nudge(value) for name, value in self.state.values.items()}),
        )

    def by_graph(self, graph: Graph) -> Result:
        known = {name: label for name, label in self.labels.items() if label >= 0}
        training = OnnxTraining(
            GraphTask.of(self.task, graph, self.checkpoint), self.round, self.drawn, known, self.state
        )
        for _ in range(training.steps):
            training.step()
        result = training.finish()
        return result.contribution, result.state, result.report

    def by_kernel(self) -> Result:
        noise = {name: value[None] for name, value in self.drawn.noise.items()}
        labels = {name: np.array([label]) for name, label in self.labels.items()}
        cohort = Cohort([self.drawn.samples], noise, labels, self.state.copy(), places=self.drawn.places)
        training = CohortTraining(Task.load(self.task, self.checkpoint), self.round, cohort, summed=False).run()
        return training.contributions()[0], training.state(), training.report()


def _error(actual: Result, expected: Result) -> tuple[float, str]:
    """Largest relative difference of a tensor, and its name."""
    pairs = [*_contributed(actual[0], expected[0]), *_private(actual[1], expected[1])]
    return max((_relative(ours, kernels), name) for name, ours, kernels in pairs)


def _relative(actual: Array, expected: Array) -> float:
    """The largest difference over the largest value; infinite where a value is NaN."""
    error = _largest(actual - expected) / (_largest(expected) or 1)
    return math.inf if math.isnan(error) else error


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0))


def _values(task: TaskManifest, rng: Generator) -> dict[str, Array]:
    """A checkpoint as training may leave it: tables far from their tiny initial values, so that every term matters."""
    specs = manifest.shared(task)
    values = draws.initial(specs.values(), rng.bytes(16))
    spread = {name: np.float32(0.1 if spec.kind == TENSOR_KIND_TABLE else 0.01) for name, spec in specs.items()}
    moved = {n: value + spread[n] * rng.standard_normal(value.shape, np.float32) for n, value in values.items()}
    moved |= {n: v for each in task.plan.matchings for n, v in _statistics(each.name, moved, rng).items()}
    return moved | (maps(moved) if task.plan.HasField("eraser") else {})


def maps(values: Mapping[str, Array]) -> dict[str, Array]:
    """Returns maps of an eraser as rounds may leave them, from small random numbers in its tensors."""
    linear = values[erasers.LINEAR].copy()
    linear[0, 0], linear[1:, 0] = 1, 0.1
    linear[1:, 1:] += np.eye(len(linear) - 1, dtype=np.float32)
    return {erasers.SCALE: np.array([1, math.log(0.1)], np.float32), erasers.LINEAR: linear}


def _statistics(name: str, values: Mapping[str, Array], rng: Generator) -> dict[str, Array]:
    """Statistics of a matching as rounds may leave them: moments are those of some states."""
    means, width = values[matchings.means(name)], len(values[matchings.moments(name)]) - 1
    states = 0.1 * rng.standard_normal((2 * width, 1 + width), np.float32)
    states[:, 0] = 1
    return {
        matchings.scale(name): np.array([1, math.log(0.1)], np.float32),
        matchings.moments(name): (states.T @ states / len(states)).astype(np.float32),
        matchings.means(name): means + np.float32(0.2),
    }


def _state(task: TaskManifest, rng: Generator) -> PrivateState:
    """A client's state after some rounds. Second moments are not tiny, or Adam's step would turn on rounding."""
    values, first, noise = (
        {s.name: np.float32(deviation) * rng.standard_normal((1, *s.shape), np.float32) for s in manifest.private(task)}
        for deviation in (0.1, 0.05, 0.3)
    )
    second = {name: value * value + np.float32(0.01) for name, value in noise.items()}
    return PrivateState(values, first, second, np.array([rng.integers(1, 50)]))


def _samples(task: TaskManifest, size: int, rng: Generator) -> Samples:
    """Draws one positive in five, among so few items that they repeat, or distinct interactions with some dropped."""
    if task.draw == DRAW_CONTRASTS:
        among = rng.choice(task.items, min(task.items, size // 2 + 1), replace=False)
        labels = (rng.random(size) < 0.2).astype(np.float32)
        return Samples(rng.choice(among, size), labels, np.full(size, 1 / size, np.float32))
    size = min(size, task.items)
    seen = (rng.random(size) < 0.7).astype(np.float32) / np.float32(np.sqrt(size))
    items = np.sort(rng.choice(task.items, size, replace=False))
    return Samples(items, np.ones(size, np.float32), seen, rng.standard_normal(task.noise, np.float32))


def _contributed(ours: Mapping[str, Update], kernels: Mapping[str, Update]) -> Iterator[tuple[str, Array, Array]]:
    assert ours.keys() == kernels.keys()
    for name, actual in ours.items():
        expected = kernels[name]
        if isinstance(actual, Rows):
            assert isinstance(expected, Rows)
            np.testing.assert_array_equal(actual.indices, expected.indices)
            yield name, actual.values, expected.values
        else:
            assert not isinstance(expected, Rows)
            yield name, actual, expected


def _private(ours: PrivateState, kernels: PrivateState) -> Iterator[tuple[str, Array, Array]]:
    np.testing.assert_array_equal(ours.steps, kernels.steps)
    for part in ("values", "first", "second"):
        for name, actual in getattr(ours, part).items():
            yield f"{name} ({part})", actual, getattr(kernels, part)[name]


def _triggers(kernels: Report, ours: Report, labels: Mapping[str, int]) -> tuple[int, int, int]:
    fired, shut, turned = 0, 0, 0
    for name, expected in kernels.triggered.items():
        fired += int(expected.sum())
        shut += int((~expected).sum()) if labels[name] >= 0 else 0
        decided = ~(np.abs(kernels.margin[name]) < DECIDED)
        turned += int((ours.triggered[name] != expected)[decided].sum())
    return fired, shut, turned
