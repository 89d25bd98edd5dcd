"""The training graph beside the kernel that it was made of: the same random local steps, from the same states."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.draws import Samples
from client_sdk.graph import Graph
from client_sdk.kernel.training import Cohort, CohortTraining
from client_sdk.kernel.training import Task as KernelTask
from client_sdk.limits import Limits
from client_sdk.onnx_training import Drawn, OnnxTraining, Task
from client_sdk.state import PrivateState, Report
from export.bundle import Bundle
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, GRAPH_KIND_STEP, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_TABLE
from fedau2.wire import manifest
from fedau2.wire.contributions import Rows, Update

TOLERANCE = 1e-5
"""Largest relative difference of a tensor."""

DECIDED = 1e-5
"""Margin under which a trigger may fall either way."""

CANCELLED = 0.1
"""Where a tensor's largest value is less than this share of what it is in the ninth decile of the steps, its parts have
cancelled, and what is left of them has their rounding: differences are then relative to this share of the decile."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How far graph and kernel are apart after one local step from the same state.

    Attributes:
        steps: how many were compared.
        error: largest difference of a tensor's gradient, or of a private tensor or a moment of its Adam after the step,
            relative to the tensor's largest absolute value in this step (see `CANCELLED`).
        tensor: the one with that difference.
        beyond: steps in which a tensor's difference is above `TOLERANCE` times its largest value in that very step.
        fired: triggers that fired.
        shut: triggers that did not, of clients whose label is known.
        turned: triggers that fired in one of the two only, though the margin was decided.
    """

    steps: int
    error: float
    tensor: str
    beyond: int
    fired: int
    shut: int
    turned: int


def compare(bundle: Bundle, steps: int, rng: Generator, most: int = 128) -> Parity:
    """Random local steps of a bundle's model. Every tenth is of one sample; items often repeat.

    Args:
        bundle: one that brings a training graph.
        steps: how many.
        rng: what everything is drawn from.
        most: most samples of a step.
    """
    task = bundle.manifest
    data = next(bundle.blob(each.resource) for each in task.graphs if each.kind == GRAPH_KIND_STEP)
    graph = Graph(data, task, GRAPH_KIND_STEP, Limits())
    found: dict[str, list[tuple[float, float]]] = {}
    triggers, beyond = np.zeros(3, np.int64), 0
    for number in range(steps):
        size = 1 if number % 10 == 0 else int(rng.integers(2, most + 1))
        compared, counts = _step(task, graph, rng, size)
        triggers += counts
        beyond += any(difference > TOLERANCE * largest for difference, largest in compared.values())
        for name, pair in compared.items():
            found.setdefault(name, []).append(pair)
    error, tensor = max((_worst(np.array(pairs)), name) for name, pairs in found.items())
    return Parity(steps, error, tensor, beyond, *triggers.tolist())


def _worst(pairs: NDArray[np.float64]) -> float:
    """Largest relative difference; rows are largest difference and largest value of one step each."""
    scales = np.maximum(pairs[:, 1], CANCELLED * np.quantile(pairs[:, 1], 0.9))
    return float((pairs[:, 0] / np.where(scales == 0, 1, scales)).max())


def _step(
    task: TaskManifest, graph: Graph, rng: Generator, size: int
) -> tuple[dict[str, tuple[float, float]], tuple[int, int, int]]:
    """Per tensor the largest difference and the largest value; and the triggers' counts."""
    checkpoint, state = _values(task, rng), _state(task, rng)
    samples = [_samples(task, size, rng) for _ in range(task.plan.local.steps)]
    labels = {each.name: int(rng.integers(-1, len(each.classes))) for each in task.plan.adversaries}
    drawn = Drawn(samples, draws.noise(task.plan.adversaries, task.plan.local.steps, rng))
    round_number = int(rng.integers(0, 10))
    ours = OnnxTraining(Task.of(task, graph, checkpoint), round_number, drawn, labels, state)
    for _ in range(ours.steps):
        ours.step()
    noise = {name: value[None] for name, value in drawn.noise.items()}
    cohort = Cohort([samples], noise, {name: np.array([label]) for name, label in labels.items()}, state)
    kernel = CohortTraining(KernelTask.load(task, checkpoint), round_number, cohort, summed=False).run()
    result = ours.finish()
    pairs = [*_contributed(result.contribution, kernel.contributions()[0]), *_kept(result.state, kernel.state())]
    compared = {name: (_largest(actual - expected), _largest(expected)) for name, actual, expected in pairs}
    return compared, _triggers(kernel.report(), result.report, labels)


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0))


def _values(task: TaskManifest, rng: Generator) -> dict[str, Array]:
    """A checkpoint as training may leave it: tables far from their tiny initial values, so that every term matters."""
    specs = manifest.shared(task)
    values = draws.initial(specs.values(), rng.bytes(16))
    spread = {name: np.float32(0.1 if spec.kind == TENSOR_KIND_TABLE else 0.01) for name, spec in specs.items()}
    return {n: value + spread[n] * rng.standard_normal(value.shape, np.float32) for n, value in values.items()}


def _state(task: TaskManifest, rng: Generator) -> PrivateState:
    """A client's state after some rounds. Second moments are not tiny, or Adam's step would turn on rounding."""
    values, first, noise = (
        {s.name: np.float32(deviation) * rng.standard_normal((1, *s.shape), np.float32) for s in manifest.private(task)}
        for deviation in (0.1, 0.05, 0.3)
    )
    second = {name: value * value + np.float32(0.01) for name, value in noise.items()}
    return PrivateState(values, first, second, np.array([rng.integers(1, 50)]))


def _samples(task: TaskManifest, size: int, rng: Generator) -> Samples:
    """One positive in five, among so few items that they repeat; or all different interactions, some dropped."""
    if task.draw == DRAW_CONTRASTS:
        among = rng.choice(task.items, min(task.items, size // 2 + 1), replace=False)
        labels = (rng.random(size) < 0.2).astype(np.float32)
        return Samples(rng.choice(among, size), labels, np.full(size, 1 / size, np.float32))
    size = min(size, task.items)
    kept = (rng.random(size) < 0.7).astype(np.float32) / np.float32(np.sqrt(size))
    items = np.sort(rng.choice(task.items, size, replace=False))
    return Samples(items, np.ones(size, np.float32), kept, rng.standard_normal(task.noise, np.float32))


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


def _kept(ours: PrivateState, kernels: PrivateState) -> Iterator[tuple[str, Array, Array]]:
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
