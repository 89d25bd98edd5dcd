"""The batched engine: the kernel on columns of many clients at once, and the coordinator's own aggregation."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from client_sdk.kernel.training import CohortTraining, Task
from client_sdk.protocol import defences
from client_sdk.protocol.values import Report
from coordinator.aggregation import aggregators
from coordinator.aggregation.aggregators import Aggregator, Mean
from coordinator.aggregation.optimizers import server_step
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors
from simulator.engines.engine import RoundReport, require_any_cohort
from simulator.population.population import Members, Population
from simulator.unlearning.baselines import Noise

CHUNK = 96
"""Most clients of one call of the kernel."""

NUMBERS = 5 * 2**17
"""Most private numbers of a call with more than one client, so that what a step works on stays near the processor."""

COPIES = 2**25
"""Most numbers of shared dense tensors in a call that takes several steps, in which each client has copies of its own.

The size of a chunk is a task's own, whatever the number of workers: the same chunks give the same bytes.

Where each contribution must be seen, by the aggregator or to be defended, it comes from a cohort of one, a device's own
computation: separate clients of one call are padded to the longest, which costs more than the calls.
"""


class BatchedEngine:
    """Trains whole cohorts; `engine.RoundEngine`.

    Args:
        task: checked manifest.
        checkpoint: initial shared tensors.
        population: the clients; their state changes as they train.
        workers: threads, each computing one chunk at a time.
        noise: what clients add to what they train.

    Raises:
        ConfigError: the plan keeps a client's contributions several rounds apart.
    """

    def __init__(
        self,
        task: TaskManifest,
        checkpoint: Tensors,
        population: Population,
        workers: int = 1,
        noise: Noise | None = None,
    ) -> None:
        require_any_cohort(task.plan)
        self.noise = noise or Noise(0)
        self._manifest, self._population, self._workers = task, population, workers
        self.checkpoint = checkpoint
        self.server_state: Tensors = {}
        self._round = 0
        numbers = sum(math.prod(spec.shape) for spec in manifest.private(task))
        self._chunk = min(CHUNK, max(1, NUMBERS // max(1, numbers)))
        if task.plan.local.steps > 1:
            dense = [spec for spec in manifest.shared(task).values() if spec.kind == TENSOR_KIND_DENSE]
            copied = sum(math.prod(spec.shape) for spec in dense)
            self._chunk = min(self._chunk, max(1, COPIES // max(1, copied)))

    def train_round(self, members: Members) -> RoundReport:
        """Trains a cohort and takes the server's step."""
        total, report = self.collect(members)
        self.checkpoint, self.server_state = server_step(
            self._manifest, self.checkpoint, self.server_state, total.mean()
        )
        self._round += 1
        return report

    def collect(self, members: Members) -> tuple[Aggregator, RoundReport]:
        """Trains a cohort and adds up what it contributes; the round is not over."""
        task = Task.load(self._manifest, self.checkpoint)
        members = members[members.argsort()]
        total = self.noise.over(aggregators.of(self._manifest), self._round)
        summed = isinstance(total, Mean) and not defences.active(self._manifest.plan)
        size = self._chunk if summed else 1
        chunks = [members[start : start + size] for start in range(0, len(members), size)]
        reports = []
        with _single_threaded(), ThreadPoolExecutor(self._workers) as pool:
            for arguments, report in pool.map(lambda chunk: self._train(task, chunk, summed), chunks):
                total.add(*arguments)
                reports.append(report)
        self.noise.disturb(self._population, members, self._round)
        return total, RoundReport.join(members, reports)

    def _train(self, task: Task, members: Members, summed: bool) -> tuple[tuple[Any, ...], Report]:
        """What the aggregator is to add; all else, private state above all, is let go of here."""
        population = self._population
        cohort = population.cohort(self._manifest, self._round, members)
        training = CohortTraining(task, self._round, cohort, summed=summed).run()
        population.put(members, training.state())
        if summed:
            return training.summed(), training.report()
        contributed = zip(members, training.contributions(), strict=True)
        defended = (defences.defend(self._manifest, one, population.keys[m], self._round) for m, one in contributed)
        return tuple(defended), training.report()

    def resume(self, round_number: int) -> None:
        """Goes on after this many rounds; checkpoint and server state have been put back."""
        self._round = round_number


@contextmanager
def _single_threaded() -> Iterator[None]:
    # Parallel over clients, not inside operators: faster for small matrices, and the same bytes for any worker count.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
