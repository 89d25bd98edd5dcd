"""Checks the parts of a bundle against each other, and its graphs against PyTorch."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk import erasing
from client_sdk.errors import TaskError, UnsupportedTaskError
from client_sdk.kernel import eraser
from client_sdk.kernel.contract import Recommender
from client_sdk.kernel.models import RECOMMENDERS, plan_of
from client_sdk.onnx import step_graph
from client_sdk.onnx.graph import Graph
from client_sdk.onnx.limits import Limits
from client_sdk.onnx.served_model import OUTPUTS
from client_sdk.plan import EraserPlan
from export import bundle as bundles
from export import parity
from export.bundle import Bundle
from export.errors import UnknownModelError, VerificationError
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED, TensorSpec
from fedau2.wire import blobs, erasers, manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.errors import BlobError

TOLERANCE = 1e-5
"""Largest difference between a graph and PyTorch, relative to the largest absolute value (or to 1 if that is less)."""

FP16_TOLERANCE = 2e-3
"""The same for graphs that keep serving tensors as float16, whose values have eleven binary digits."""


STEPS = 20
"""Local steps that are compared."""

STEP_TOLERANCE = 1e-4
"""Largest difference of a local step, see `parity.Parity`; epsilon times the rounding of a probability is 3e-5."""


def verify(folder: Path) -> Iterator[str]:
    """Checks a bundle, and yields a line for each check that passes.

    Raises:
        BundleError: the bundle cannot be read, or a blob is damaged.
        UnknownModelError: its recommender is not known.
        VerificationError: its parts contradict each other or PyTorch.
    """
    bundle = bundles.read(folder)
    task = bundle.manifest
    yield f"manifest: format {task.format}, {len(task.tensors)} tensors, {len(task.plan.adversaries)} adversaries"
    yield f"blobs: {len(bundle.blobs)} match their SHA-256 and size"
    items = _catalogue(bundle)
    yield f"catalogue: {items} items, all different"
    checkpoint = _checkpoint(bundle)
    yield f"checkpoint: {len(checkpoint)} tensors as declared, all finite"
    if task.model not in RECOMMENDERS:
        raise UnknownModelError(f"no recommender is called {task.model!r}; there is {', '.join(RECOMMENDERS)}")
    recommender = RECOMMENDERS[task.model].model
    try:
        plan_of(task)
    except UnsupportedTaskError as error:
        raise VerificationError(str(error)) from error
    yield f"plan: {len(task.plan.parameters)} parameters of {task.model}, as the recommender declares them"
    cases, tolerance = _compare(bundle, recommender, checkpoint)
    yield f"graphs: load in ONNX Runtime and agree with PyTorch to {tolerance:g} in {cases} cases of seen items and k"
    if any(graph.kind == task_pb2.GRAPH_KIND_STEP for graph in task.graphs):
        _require(
            task.draw == getattr(recommender, "DRAW", task_pb2.DRAW_UNSPECIFIED),
            f"by the manifest devices draw by {task_pb2.Draw.Name(task.draw)}, but {task.model} draws differently",
        )
        yield f"training graph: agrees with PyTorch to {_compare_steps(bundle):.1g} in {STEPS} local steps"


def _catalogue(bundle: Bundle) -> int:
    try:
        items = blobs.catalogue(bundle.blob(bundle.manifest.catalogue))
    except BlobError as error:
        raise VerificationError(str(error)) from error
    _require(
        len(items) == bundle.manifest.items,
        f"the catalogue lists {len(items)} items, the manifest says {bundle.manifest.items}",
    )
    return len(items)


def _checkpoint(bundle: Bundle) -> Tensors:
    try:
        tensors = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    except BlobError as error:
        raise VerificationError(f"checkpoint: {error}") from error
    specs = manifest.shared(bundle.manifest)
    if different := sorted(specs.keys() ^ tensors.keys()):
        raise VerificationError(f"checkpoint and manifest do not hold the same tensors: {', '.join(different)}")
    for name, spec in specs.items():
        _check_tensor(tensors[name], spec)
    return tensors


def _check_tensor(value: NDArray[np.float32], spec: TensorSpec) -> None:
    shape = tuple(spec.shape)
    _require(value.dtype == np.float32, f"checkpoint: {spec.name} is {value.dtype} instead of float32")
    _require(value.shape == shape, f"checkpoint: {spec.name} has shape {value.shape} instead of {shape}")
    _require(bool(np.isfinite(value).all()), f"checkpoint: {spec.name} has a value that is not finite")


def _compare(bundle: Bundle, recommender: Recommender, checkpoint: Tensors) -> tuple[int, float]:
    """Runs both graphs beside PyTorch on random private state; returns the number of cases and the tolerance."""
    task, rng = bundle.manifest, np.random.default_rng(0)
    prepare = _load(bundle, task_pb2.GRAPH_KIND_PREPARE)
    recommend = _load(bundle, task_pb2.GRAPH_KIND_RECOMMEND, OUTPUTS)
    shared = {spec.name: checkpoint[spec.name] for spec in task.tensors if spec.scope == TENSOR_SCOPE_SHARED}
    with _as_verification("recommending"):
        declared = 4 * sum(math.prod(spec.shape) for spec in manifest.private(task))
        _require(declared <= Limits().memory, f"private tensors take {declared} bytes, more than {Limits()}")
        private = {s.name: rng.standard_normal(tuple(s.shape), np.float32) for s in manifest.private(task)}
        serving = prepare.run(shared)
        erases = erasing.of(task, checkpoint | _maps(task, rng))
        if erases:
            plan, maps = erases
            maps = maps.of_user(plan, {name: int(rng.integers(classes)) for name, classes in plan.erased})
            erases = plan, maps
            serving |= {**step_graph.mapped(maps), step_graph.FLOOR: maps.noise(plan, bytes(16), 0)}
        tolerance = FP16_TOLERANCE if any(value.dtype == np.float16 for value in serving.values()) else TOLERANCE
        cases = [(seen, k) for seen in _seen(task, rng) for k in (1, 10, task.items, task.items + 1)]
        for seen, k in cases:
            history = np.unique(seen)
            expected = _logits(recommender, shared, private, history, erases)
            inputs = {**serving, **private, "history": history, "seen": seen, "k": np.array(k)}
            items, scores = recommend.run(inputs).values()
            check_recommendation(items, scores, expected, seen, k, tolerance)
    return len(cases), tolerance


def _maps(task: TaskManifest, rng: np.random.Generator) -> Tensors:
    """Returns maps as rounds may leave them, in place of a new bundle's, which move nothing in any graph."""
    specs = {spec.name: spec for spec in task.tensors if spec.name in erasers.tensors(task.plan)}
    drawn = {n: np.float32(0.1) * rng.standard_normal(tuple(s.shape), np.float32) for n, s in specs.items()}
    return drawn | parity.maps(drawn) if drawn else {}


def _compare_steps(bundle: Bundle) -> float:
    """Runs random local steps by the training graph and by the kernel; returns the largest difference."""
    _load(bundle, task_pb2.GRAPH_KIND_STEP)
    with _as_verification("training"), np.errstate(over="ignore", invalid="ignore"):  # checked below
        result = parity.compare(bundle, STEPS, np.random.default_rng(0))
    _require(
        result.undecided <= STEPS // 2,
        f"training graph and PyTorch agree in {STEPS - result.undecided} of {STEPS} local steps: rounding decides the "
        "others, or both give values that are not finite",
    )
    _require(
        result.error <= STEP_TOLERANCE and not result.turned,
        f"training graph and PyTorch differ by {result.error:.2g} in {result.tensor}, and in {result.turned} triggers",
    )
    return result.error


def _seen(task: TaskManifest, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Three cases: no item, some items with repetitions, and all items."""
    return [np.zeros(0, np.int64), rng.integers(0, task.items, (task.items + 1) // 2), np.arange(task.items)]


def _logits(
    recommender: Recommender,
    shared: Tensors,
    private: Tensors,
    history: NDArray[np.int64],
    erases: tuple[EraserPlan, erasing.Maps] | None,
) -> NDArray[np.float32]:
    tensors = {name: torch.tensor(value) for name, value in private.items()}
    with torch.no_grad():
        serving = recommender.prepare({name: torch.tensor(value) for name, value in shared.items()})
        user = recommender.user(serving, tensors, torch.from_numpy(history))
        if erases:
            plan, maps = erases
            user = eraser.shown(plan, eraser.Maps.of(maps), torch.from_numpy(maps.noise(plan, bytes(16), 0)), user)
        logits: NDArray[np.float32] = recommender.score(serving, user).numpy()
    return logits


def check_recommendation(
    items: NDArray[np.generic],
    scores: NDArray[np.generic],
    logits: NDArray[np.float32],
    seen: NDArray[np.int64],
    k: int,
    tolerance: float = TOLERANCE,
) -> None:
    """Checks that recommend.onnx gave the best k items, the best first. Items with equal scores may come in any order.

    Args:
        items: rows, int64 (k',).
        scores: float32 (k',).
        logits: PyTorch's, of all items, (n,).
        seen: rows that must be left out.
        k: number of items that were requested.
        tolerance: relative to the largest absolute logit, or to 1 if that is less.

    Raises:
        VerificationError: it gave something else.
    """
    masked = logits.copy()
    masked[seen] = -np.inf
    best = np.sort(masked)[::-1][:k]
    _require(items.shape == scores.shape == best.shape, f"recommend.onnx gives {items.shape} items for k = {k}")
    _require(
        items.dtype == np.int64 and set(items.tolist()) <= set(range(len(logits))),
        "recommend.onnx gives items that are not rows of the catalogue",
    )
    _require(len(np.unique(items)) == len(items), "recommend.onnx lists an item twice")
    tolerance *= max(1.0, float(np.abs(logits).max()))
    scored = masked[items]
    # Equal infinities are close; an infinity and a number are not.
    agree = np.allclose(scores.astype(np.float32), best, 0, tolerance) and np.allclose(scored, best, 0, tolerance)
    _require(agree, f"recommend.onnx and PyTorch differ by more than {tolerance:g} (k = {k}, {len(seen)} seen)")


def _load(bundle: Bundle, kind: task_pb2.GraphKind.ValueType, outputs: Sequence[str] | None = None) -> Graph:
    resources = [graph.resource for graph in bundle.manifest.graphs if graph.kind == kind]
    name = task_pb2.GraphKind.Name(kind)
    _require(len(resources) == 1, f"the manifest names {len(resources)} graphs of kind {name} instead of one")
    with _as_verification(name):
        return Graph(bundle.blob(resources[0]), bundle.manifest, kind, outputs=outputs)


@contextmanager
def _as_verification(subject: str) -> Iterator[None]:
    try:
        yield
    except VerificationError:
        raise
    except TaskError as error:
        raise VerificationError(str(error)) from error
    except Exception as error:  # PyTorch's or NumPy's, which a bundle may have been made to provoke
        raise VerificationError(
            f"{subject} cannot be compared with PyTorch: {type(error).__name__}: {error}"
        ) from error


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise VerificationError(message)
