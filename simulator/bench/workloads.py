"""The measurements: rounds as ratios to a naive loop that alternates with them, and sessions over gRPC."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.draws import Samples
from client_sdk.kernel import fedncf_parameters
from client_sdk.kernel.operations import Operations
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.plan import LocalPlan
from client_sdk.protocol.values import PrivateState
from export.bundle import build
from export.plan.message import plan_of
from fedau2.v1.task_pb2 import Plan
from fedau2.wire import blobs, manifest
from simulator.bench import naive
from simulator.bench.engines import (
    CLASSES,
    Interactions,
    alternated,
    cohort_of,
    copy_of,
    cpu,
    engine_of,
    kernels,
    names_of,
    population_of,
)
from simulator.bench.naive import Sample
from simulator.engines.batched import BatchedEngine
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine
from simulator.engines.kernels import KernelName, choose
from simulator.memory import keep_freed

SMALL = fedncf_parameters.Widths(gmf=0, mlp=32, hidden=(32, 16))
"""Widths of the small workload: an MLP 64-32-16-1 on user and item vectors of 32, without an adversary."""

NAIVE: dict[str, Callable[[int], naive.Model]] = {
    "fedncf": naive.FedNCF,
    "fedrap": naive.FedRAP,
    "fedvae": naive.FedVAE,
}
"""Makes the naive loop's recommenders, by name, from the length of the catalogue."""

SMALL_CHUNK = 32
"""Clients in a call of the kernel in the small workload."""


@dataclass(frozen=True)
class Ratio:
    """Compares the naive loop with the engine, which alternate.

    Attributes:
        naive: CPU milliseconds per client of the naive loop, median over the repeats.
        ours: CPU milliseconds per client of the engine, median over the repeats.
        ratio: median of the ratios of the repeats.
        low, high: smallest and largest of these ratios.
    """

    naive: float
    ours: float
    ratio: float
    low: float
    high: float


Ratios = dict[KernelName, Ratio]
"""The comparison with each kernel of this machine."""


def alternate(
    naive: Callable[[], object], ours: Mapping[KernelName, Callable[[], object]], clients: int, repeats: int
) -> Ratios:
    """Measures several ways to run a round in alternation, `repeats` times after a warm-up."""
    ways = [naive, *ours.values()]
    costs = alternated(ways, cpu, repeats).T / clients * 1e3
    return {kernel: _ratio(costs[0], cost) for kernel, cost in zip(ours, costs[1:], strict=True)}


def _ratio(naive: NDArray[np.float64], ours: NDArray[np.float64]) -> Ratio:
    ratios = naive / ours
    cost, our_cost, ratio = (float(np.median(numbers)) for numbers in (naive, ours, ratios))
    return Ratio(cost, our_cost, ratio, float(ratios.min()), float(ratios.max()))


class PaperWorkload:
    """A recommender with the paper's plan: one local step, DSVAE, SUT and private Adam, in rounds of 94 clients.

    Random draws are part of the measured time.

    Args:
        model: the recommender.
        interactions: each client's sorted catalogue rows.
        labels: each client's gender.
        items: length of the catalogue.
        copies: true to compare with a loop in which each client trains copies of all modules.
    """

    def __init__(
        self, model: str, interactions: Interactions, labels: NDArray[np.int64], items: int, *, copies: bool = False
    ) -> None:
        attribute = [CLASSES[label] for label in labels]
        bundle, first = population_of(interactions, attribute, items, model)
        populations = [first, *(copy_of(first) for _ in kernels()[1:])]
        self._engines = {
            kernel: engine_of(bundle, population, kernel)
            for kernel, population in zip(kernels(), populations, strict=True)
        }
        self._loop = naive.NaiveRound(NAIVE[model](items), items, labels, copies=copies)
        self._members, self._interactions = cohort_of(len(interactions), 94, 1), interactions

    def training(self, repeats: int) -> Ratios:
        """Measures training and the sum of contributions, without the server's step."""
        return self._alternate(self._loop.collect, BatchedEngine.collect, repeats)

    def rounds(self, repeats: int) -> Ratios:
        """Measures whole rounds with the server's step."""
        return self._alternate(self._loop.run, BatchedEngine.train_round, repeats)

    def ways(
        self, ours: Callable[[BatchedEngine, NDArray[np.int64]], object] = BatchedEngine.train_round
    ) -> Mapping[KernelName, Callable[[], object]]:
        """Returns the work with each kernel of this machine: whole rounds, or another method of the engine."""
        return {kernel: partial(ours, engine, self._members) for kernel, engine in self._engines.items()}

    def _alternate(
        self, loop: Callable[..., object], ours: Callable[[BatchedEngine, NDArray[np.int64]], object], repeats: int
    ) -> Ratios:
        members = self._members
        return alternate(lambda: loop(members, self._interactions), self.ways(ours), len(members), repeats)


def small_workload(repeats: int, clients: int = 100, items: int = 1682) -> Ratios:
    """Measures two local steps of 250 given samples, without a sum of contributions.

    The naive loop sums each client's start minus its end.
    """
    loop, ways = small_ways(clients, items)
    return alternate(loop, ways, clients, repeats)


def small_ways(clients: int, items: int) -> tuple[Callable[[], object], Mapping[KernelName, Callable[[], object]]]:
    """Returns the work of `small_workload` by the naive loop, and with each kernel of this machine."""
    keep_freed()  # as the engine does
    rng = np.random.default_rng(0)
    positives = [np.sort(rng.choice(items, 100, replace=False)) for _ in range(clients)]
    plan = plan_of("fedncf", {"local": {"steps": 2, "chunk": 250, "shared_learning_rate": 0.01}})
    samples = [draws.samples(rows, items, LocalPlan.of(plan.local), rng) for rows in positives]
    loop = naive.NaiveRound(naive.FedNCF(items, 0, 32, (32, 16), 250), items)
    tensors = [[_tensors(step) for step in client] for client in samples]
    task = _small_task(items, plan)
    ways = {kernel: partial(_separate, task, samples, choose(kernel, task.manifest).operations) for kernel in kernels()}
    return partial(loop.run_steps, range(clients), tensors, 0.01), ways


def _tensors(step: Samples) -> Sample:
    return torch.from_numpy(step.items), torch.from_numpy(step.labels)


def _small_task(items: int, plan: Plan) -> Task:
    bundle = build("fedncf", names_of(items), plan, 0, SMALL)
    return Task.load(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)))


def _separate(task: Task, samples: Sequence[Sequence[Samples]], operations: Operations) -> None:
    drawn = draws.initial(manifest.private(task.manifest), bytes(16))
    for start in range(0, len(samples), SMALL_CHUNK):
        chunk = samples[start : start + SMALL_CHUNK]
        values = {name: np.repeat(value[None], len(chunk), 0) for name, value in drawn.items()}
        cohort = Cohort(chunk, {}, {}, PrivateState.start(values, len(chunk)))
        training = CohortTraining(task, 0, cohort, summed=False, operations=operations).run()
        training.contributions()
        training.state()


def scaling(sizes: Sequence[int], items: int = 1682) -> dict[int, float]:
    """Measures CPU milliseconds per client of whole rounds, with the server's step, for several sizes of cohorts."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.geometric(1 / 100, max(sizes)) + 5, items // 4)
    interactions = [np.sort(rng.choice(items, n, replace=False)) for n in lengths]
    engine = engine_of(*population_of(interactions, rng.choice(["M", "F"], len(lengths)).tolist(), items))
    costs = {}
    for size in sizes:
        members = np.arange(size)
        engine.train_round(members)
        costs[size] = cpu(lambda members=members: engine.train_round(members)) / size * 1e3  # type: ignore[misc]
    return costs


@dataclass(frozen=True)
class FleetCost:
    """The cost of a session over gRPC.

    Attributes:
        at_once: number of concurrent sessions.
        device_ms: CPU milliseconds per session in the fleet's process: download, training, upload.
        coordinator_ms: CPU milliseconds per session in the coordinator's process, with the server's step.
        sessions_per_second: sessions per elapsed second, with both processes on this machine.
    """

    at_once: int
    device_ms: float
    coordinator_ms: float
    sessions_per_second: float


def fleet(interactions: Interactions, labels: NDArray[np.int64], items: int, at_once: int, rounds: int) -> FleetCost:
    """Measures rounds of SDK instances in this process and a coordinator in another, after a warm-up round."""
    bundle, population = population_of(interactions, [CLASSES[label] for label in labels], items)
    with tempfile.TemporaryDirectory() as folder:
        process = CoordinatorProcess(Path(folder) / "coordinator")
        engine = FleetEngine.start(process.connect, bundle, population, at_once, rounds + 1)
        try:
            cohorts = [np.arange(at_once) if at_once == len(population) else cohort_of(len(population), at_once, r)
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
