"""`fedau2-export bench`: compares the training graphs with the kernel: their difference, their speed and their size."""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.onnx.graph import Graph
from client_sdk.onnx.limits import Limits
from client_sdk.onnx.onnx_engine import OnnxEngine
from client_sdk.protocol.interfaces import Engine
from client_sdk.protocol.preparation import initial_state
from client_sdk.protocol.values import ClientData, Job
from export import parity
from export.bundle import Bundle, build
from export.plan.message import plan_of
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, GRAPH_KIND_STEP

HEADS = ("none", "mlp", "vae", "dsvae", "scalar")
SAMPLES = (100, 500)
_KEY = bytes(16)


def run(steps: int, repeats: int) -> Iterator[str]:
    """Measures with the paper's widths on one thread, and yields tables as Markdown, line by line.

    Args:
        steps: local steps that are compared, for each recommender and head.
        repeats: number of times that the two engines are timed in turn.
    """
    torch.set_num_threads(1)
    yield f"| {steps} steps each | head | largest difference | in | undecided | fired | shut | turned |"
    yield "|---|---|---|---|---|---|---|---|"
    for model in RECOMMENDERS:
        for head in HEADS:
            yield _compared(model, head, steps)
    yield ""
    yield "| model, head | samples | onnx, ms | torch, ms | torch over onnx |\n|---|---|---|---|---|"
    for model in RECOMMENDERS:
        for head in ("none", "dsvae"):
            bundle = _bundle(model, head, 3_706)
            yield from (_timed(bundle, head, samples, repeats) for samples in SAMPLES)
    yield ""
    yield "| model, head | bytes | load, ms | .ort bytes | load, ms |\n|---|---|---|---|---|"
    for model in RECOMMENDERS:
        for head in HEADS:
            yield _loaded(_bundle(model, head, 3_706), head, repeats)


def _bundle(model: str, head: str, items: int) -> Bundle:
    adversaries = [] if head == "none" else [{"attribute": "gender", "classes": ["M", "F"], "head": head}]
    plan = plan_of(model, {"adversaries": adversaries})
    return build(model, [str(row) for row in range(items)], plan, 0)


def _compared(model: str, head: str, steps: int) -> str:
    result = parity.compare(_bundle(model, head, 400), steps, np.random.default_rng(0))
    return (
        f"| {model} | {head} | {result.error:.1e} | {result.tensor} | {result.undecided} | {result.fired} "
        f"| {result.shut} | {result.turned} |"
    )


def job_of(bundle: Bundle, samples: int) -> Job:
    """A training on a number of samples."""
    task = bundle.manifest
    count = samples // (1 + task.plan.local.negatives) if task.draw == DRAW_CONTRASTS else samples
    rows = np.sort(np.random.default_rng(0).choice(task.items, count, replace=False))
    labels = {adversary.name: 1 for adversary in task.plan.adversaries}
    client = ClientData(_KEY, rows, labels, initial_state(task, _KEY))
    return Job(task, task.checkpoint, bundle.blob(task.checkpoint), 3, client, bundle.graph(GRAPH_KIND_STEP))


def _timed(bundle: Bundle, head: str, samples: int, repeats: int) -> str:
    job = job_of(bundle, samples)
    calls = [partial(_train, engine, job) for engine in (OnnxEngine(), TorchEngine())]
    spent = np.array([[_cpu(call) for call in calls] for _ in range(repeats + 3)][3:])
    ours, theirs = np.median(spent, 0)
    ratio = np.median(spent[:, 1] / spent[:, 0])
    return f"| {bundle.manifest.model}, {head} | {samples} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} |"


def _train(engine: Engine, job: Job) -> None:
    training = engine.begin(job)
    for _ in range(training.steps):
        training.step()
    training.finish()


def _cpu(work: Callable[[], object]) -> float:
    """Milliseconds of processor time, which other work on the machine hardly changes."""
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def _loaded(bundle: Bundle, head: str, repeats: int) -> str:
    data, task = bundle.graph(GRAPH_KIND_STEP), bundle.manifest
    whole = _best(repeats, lambda: Graph(data, task, GRAPH_KIND_STEP, Limits()))
    with tempfile.TemporaryDirectory(prefix="fedau2-ort-") as name:
        folder = Path(name)
        compiled = _best(repeats, lambda: Graph(data, task, GRAPH_KIND_STEP, Limits(), folder))
        size = next(folder.iterdir()).stat().st_size
    return f"| {task.model}, {head} | {len(data):,} | {whole:.1f} | {size:,} | {compiled:.1f} |"


def _best(repeats: int, work: Callable[[], object]) -> float:
    return min(_cpu(work) for _ in range(repeats))
