"""`fedau2-sim bench`: what a client costs, as ratios to a naive loop measured in alternation in the same run."""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from client_sdk import draws
from client_sdk.draws import Samples
from client_sdk.kernel import fedncf
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.state import PrivateState
from export.bundle import Bundle, build
from export.planfile import make_plan, paper_plan
from fedau2.v1.task_pb2 import Plan
from fedau2.wire import blobs, manifest
from simulator import naive
from simulator.batched import BatchedEngine
from simulator.datasets import load
from simulator.errors import DatasetError
from simulator.fleet import FleetEngine
from simulator.links import CoordinatorProcess
from simulator.naive import Sample
from simulator.population import Population
from simulator.split import leave_one_out

SMALL = fedncf.Widths(gmf=0, mlp=32, hidden=(32, 16))
"""The small workload: an MLP 64-32-16-1 on user and item vectors of 32, no adversary."""

Interactions = Sequence[NDArray[np.int64]]
_CLASSES = ("M", "F")

NAIVE: dict[str, Callable[[int], naive.Model]] = {
    "fedncf": naive.FedNCF,
    "fedrap": naive.FedRAP,
    "fedvae": naive.FedVAE,
}
"""The naive loop's recommenders, by name, from the length of the catalogue."""

SMALL_CHUNK = 32
"""Clients of one call of the kernel in the small workload."""


@dataclass(frozen=True)
class Ratio:
    """Two ways of doing the same work, alternated.

    Attributes:
        naive: CPU milliseconds per client, median over the alternations.
        ours: likewise.
        ratio: median of the alternations' ratios.
        low, high: smallest and largest of these ratios.
    """

    naive: float
    ours: float
    ratio: float
    low: float
    high: float


def alternate(naive: Callable[[], object], ours: Callable[[], object], clients: int, repeats: int) -> Ratio:
    """Measures two rounds of `clients` clients, one after the other, `repeats` times, after one warm-up."""
    pairs = np.array([(_cpu(naive), _cpu(ours)) for _ in range(repeats + 1)][1:]) / clients * 1e3
    ratios = pairs[:, 0] / pairs[:, 1]
    medians = np.median(pairs, axis=0)
    return Ratio(medians[0], medians[1], float(np.median(ratios)), ratios.min(), ratios.max())


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def paper_workload(
    model: str, interactions: Interactions, labels: NDArray[np.int64], items: int, repeats: int, *, copies: bool = False
) -> Ratio:
    """A recommender as the paper has it: one local step, DSVAE, SUT, drawing and private Adam; rounds of 94 clients.

    Args:
        model: the recommender.
        interactions: per client, sorted catalogue rows.
        labels: gender per client.
        items: length of the catalogue.
        repeats: alternations.
        copies: against a loop in which each client trains copies of all modules.
    """
    engine = _engine(interactions, [_CLASSES[label] for label in labels], items, model)
    loop = naive.NaiveRound(NAIVE[model](items), items, labels, copies=copies)
    members = _cohort(len(interactions), 94, 1)
    return alternate(
        lambda: loop.run(members, interactions), lambda: engine.train_round(members), len(members), repeats
    )


def _population(
    interactions: Interactions, attribute: Sequence[str], items: int, model: str = "fedncf"
) -> tuple[Bundle, Population]:
    bundle = build(model, _names(items), paper_plan(model, attribute="gender", classes=_CLASSES), 0)
    return bundle, Population.create(bundle.manifest, 0, interactions, {"gender": attribute})


def _engine(interactions: Interactions, attribute: Sequence[str], items: int, model: str = "fedncf") -> BatchedEngine:
    bundle, population = _population(interactions, attribute, items, model)
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population)


def small_workload(repeats: int, clients: int = 100, items: int = 1682) -> Ratio:
    """Two local steps of 250 given samples, separate form; the naive loop sums start minus end as it goes."""
    rng = np.random.default_rng(0)
    positives = [np.sort(rng.choice(items, 100, replace=False)) for _ in range(clients)]
    plan = make_plan(attribute=None, steps=2, chunk=250, shared_learning_rate=0.01)
    samples = [draws.samples(rows, items, plan.local, rng) for rows in positives]
    loop = naive.NaiveRound(naive.FedNCF(items, 0, 32, (32, 16), 250), items)
    tensors = [[_tensors(step) for step in client] for client in samples]
    task = _small_task(items, plan)
    return alternate(
        lambda: loop.run_steps(range(clients), tensors, 0.01), lambda: _separate(task, samples), clients, repeats
    )


def _tensors(step: Samples) -> Sample:
    return torch.from_numpy(step.items), torch.from_numpy(step.labels)


def _names(items: int) -> list[str]:
    return [str(item) for item in range(items)]


def _small_task(items: int, plan: Plan) -> Task:
    bundle = build("fedncf", _names(items), plan, 0, SMALL)
    return Task.load(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)))


def _separate(task: Task, samples: Sequence[Sequence[Samples]]) -> None:
    drawn = draws.initial(manifest.private(task.manifest), bytes(16))
    for start in range(0, len(samples), SMALL_CHUNK):
        chunk = samples[start : start + SMALL_CHUNK]
        values = {name: np.repeat(value[None], len(chunk), 0) for name, value in drawn.items()}
        cohort = Cohort(chunk, {}, {}, PrivateState.start(values, len(chunk)))
        training = CohortTraining(task, 0, cohort, summed=False).run()
        training.contributions()
        training.state()


def scaling(sizes: Sequence[int], items: int = 1682) -> dict[int, float]:
    """CPU milliseconds per client of whole rounds (server's step included) for cohorts of several sizes."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.geometric(1 / 100, max(sizes)) + 5, items // 4)
    interactions = [np.sort(rng.choice(items, n, replace=False)) for n in lengths]
    engine = _engine(interactions, rng.choice(["M", "F"], len(lengths)).tolist(), items)
    costs = {}
    for size in sizes:
        members = np.arange(size)
        engine.train_round(members)
        costs[size] = _cpu(lambda members=members: engine.train_round(members)) / size * 1e3  # type: ignore[misc]
    return costs


@dataclass(frozen=True)
class FleetCost:
    """What a session costs over gRPC.

    Attributes:
        at_once: sessions at the same time.
        device_ms: CPU milliseconds per session in the fleet's process: fetch, training, upload.
        coordinator_ms: CPU milliseconds per session in the coordinator's process, server's step included.
        sessions_per_second: by the clock, both processes on this machine.
    """

    at_once: int
    device_ms: float
    coordinator_ms: float
    sessions_per_second: float


def fleet(interactions: Interactions, labels: NDArray[np.int64], items: int, at_once: int, rounds: int) -> FleetCost:
    """All clients as SDK instances in this process, the coordinator in another; one warm-up round."""
    bundle, population = _population(interactions, [_CLASSES[label] for label in labels], items)
    with tempfile.TemporaryDirectory() as folder:
        process = CoordinatorProcess(Path(folder) / "coordinator")
        engine = FleetEngine.start(process.link, bundle, population, at_once, rounds + 1)
        try:
            cohorts = [np.arange(at_once) if at_once == len(population) else _cohort(len(population), at_once, r)
                       for r in range(rounds + 1)]  # fmt: skip
            engine.train_round(cohorts[0])
            start = time.perf_counter(), time.process_time(), process.cpu_seconds()
            for members in cohorts[1:]:
                engine.train_round(members)
            end = time.perf_counter(), time.process_time(), process.cpu_seconds()
        finally:
            engine.close()
    clock, device, coordinator = (b - a for a, b in zip(start, end, strict=True))
    sessions = at_once * rounds
    return FleetCost(at_once, 1e3 * device / sessions, 1e3 * coordinator / sessions, sessions / clock)


def _cohort(clients: int, size: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).choice(clients, size, replace=False)


def report(data_dir: Path | None, out: Path | None, quick: bool, console: Console) -> None:
    """Measures everything, prints it, and writes JSON if asked to."""
    interactions, labels, items, source = _data(data_dir)
    repeats = 3 if quick else 15
    paper = {model: paper_workload(model, interactions, labels, items, repeats) for model in NAIVE}
    copies = paper_workload("fedncf", interactions, labels, items, repeats, copies=True)
    small = small_workload(repeats)
    costs = scaling((10, 100, 1000) if quick else (10, 100, 1000, 10_000))
    rows = {f"{model}, DSVAE, SUT, 94 clients of {source}": ratio for model, ratio in paper.items()}
    rows |= {"fedncf, a copy of every module per client": copies, "small, two local steps": small}
    console.print(_ratios(rows))
    console.print(_scaling(costs))
    clients = len(interactions)
    fleets = [fleet(interactions, labels, items, at_once, 2 if quick else 10) for at_once in (94, clients)]
    console.print(_fleets(fleets))
    figures = {
        "paper": {model: asdict(ratio) for model, ratio in paper.items()},
        "copies": asdict(copies),
        "small": asdict(small),
        "scaling_cpu_ms": costs,
        "fleet": list(map(asdict, fleets)),
    }
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n")


def _data(data_dir: Path | None) -> tuple[Interactions, NDArray[np.int64], int, str]:
    try:
        dataset = load("ml-100k", data_dir)
    except DatasetError:
        dataset = load("synthetic", users=943, items=1682)
    train = leave_one_out(dataset).train
    return train, dataset.attributes["gender"].labels, len(dataset.items), dataset.name


def _ratios(rows: dict[str, Ratio]) -> Table:
    table = Table(title="CPU-ms per client, one thread, alternated with a naive PyTorch loop", title_justify="left")
    for column in ("workload", "naive", "batched", "times faster", "least to most"):
        table.add_column(column)
    for name, row in rows.items():
        spread = f"{row.low:.1f} to {row.high:.1f}"
        table.add_row(name, f"{row.naive:.2f}", f"{row.ours:.3f}", f"{row.ratio:.1f}", spread)
    return table


def _fleets(costs: Sequence[FleetCost]) -> Table:
    table = Table(title="Fleet over gRPC: CPU-ms per session, one thread", title_justify="left")
    for column in ("at once", "device", "coordinator", "sessions/s"):
        table.add_column(column)
    for cost in costs:
        table.add_row(
            str(cost.at_once), f"{cost.device_ms:.1f}", f"{cost.coordinator_ms:.1f}", f"{cost.sessions_per_second:.0f}"
        )
    return table


def _scaling(costs: dict[int, float]) -> Table:
    table = Table(title="CPU-ms per client by size of the cohort, server's step included", title_justify="left")
    for size in costs:
        table.add_column(f"{size:,}")
    table.add_row(*(f"{cost:.2f}" for cost in costs.values()))
    return table
