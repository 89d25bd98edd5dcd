"""What is measured: rounds, as ratios to a naive loop in alternation in the same run, and sessions over gRPC."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.draws import Samples
from client_sdk.kernel import fedncf_parameters
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.plan import LocalPlan
from client_sdk.protocol.values import PrivateState
from export.bundle import Bundle, build
from export.plan.message import plan_of
from fedau2.v1.task_pb2 import Plan
from fedau2.wire import blobs, manifest
from simulator.bench import naive
from simulator.bench.naive import Sample
from simulator.engines.batched import BatchedEngine
from simulator.engines.fleet import FleetEngine
from simulator.engines.links import CoordinatorProcess
from simulator.population.population import Population

SMALL = fedncf_parameters.Widths(gmf=0, mlp=32, hidden=(32, 16))
"""The small workload: an MLP 64-32-16-1 on user and item vectors of 32, no adversary."""

Interactions = Sequence[NDArray[np.int64]]
_CLASSES = ("M", "F")
_GENDER = {"attribute": "gender", "classes": _CLASSES}

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


class PaperWorkload:
    """A recommender as the paper has it: one local step, DSVAE, SUT, drawing and private Adam; rounds of 94 clients.

    Args:
        model: the recommender.
        interactions: per client, sorted catalogue rows.
        labels: gender per client.
        items: length of the catalogue.
        copies: against a loop in which each client trains copies of all modules.
    """

    def __init__(
        self, model: str, interactions: Interactions, labels: NDArray[np.int64], items: int, *, copies: bool = False
    ) -> None:
        self._engine = _engine(interactions, [_CLASSES[label] for label in labels], items, model)
        self._loop = naive.NaiveRound(NAIVE[model](items), items, labels, copies=copies)
        self._members, self._interactions = _cohort(len(interactions), 94, 1), interactions

    def training(self, repeats: int) -> Ratio:
        """Training and adding up what the clients contribute, without the server's step."""
        return self._alternate(self._loop.collect, self._engine.collect, repeats)

    def rounds(self, repeats: int) -> Ratio:
        """Whole rounds, the server's step included."""
        return self._alternate(self._loop.run, self._engine.train_round, repeats)

    def _alternate(self, loop: Callable[..., object], ours: Callable[..., object], repeats: int) -> Ratio:
        members = self._members
        return alternate(lambda: loop(members, self._interactions), lambda: ours(members), len(members), repeats)


def _population(
    interactions: Interactions, attribute: Sequence[str], items: int, model: str = "fedncf"
) -> tuple[Bundle, Population]:
    bundle = build(model, _names(items), plan_of(model, {"adversaries": [_GENDER]}), 0)
    return bundle, Population.create(bundle.manifest, 0, interactions, {"gender": attribute})


def _engine(interactions: Interactions, attribute: Sequence[str], items: int, model: str = "fedncf") -> BatchedEngine:
    bundle, population = _population(interactions, attribute, items, model)
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population)


def small_workload(repeats: int, clients: int = 100, items: int = 1682) -> Ratio:
    """Two local steps of 250 given samples, separate form; the naive loop sums start minus end as it goes."""
    rng = np.random.default_rng(0)
    positives = [np.sort(rng.choice(items, 100, replace=False)) for _ in range(clients)]
    plan = plan_of("fedncf", {"local": {"steps": 2, "chunk": 250, "shared_learning_rate": 0.01}})
    samples = [draws.samples(rows, items, LocalPlan.of(plan.local), rng) for rows in positives]
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
