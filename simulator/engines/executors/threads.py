"""Threads of this process, which change the population's state where it lies."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue

import torch

from client_sdk.kernel.training import Task
from client_sdk.protocol.values import Report
from simulator import gpu
from simulator.engines.chunks import Job, Round, Sums, add, merge, train_chunk
from simulator.population.population import Members, Population


class Threads:
    """Threads that take chunks from a queue; an `Executor`. Each adds up what its chunks contribute.

    Args:
        job: the task.
        population: the clients.
        workers: number of threads.
    """

    def __init__(self, job: Job, population: Population, workers: int) -> None:
        self._job, self._population, self._workers = job, population, workers

    def train(self, now: Round, chunks: Sequence[Members]) -> tuple[Sums, Sequence[Report]]:
        """Trains the chunks of a round."""
        with gpu.memory(self._job.device):
            return self._train(now, chunks)

    def _train(self, now: Round, chunks: Sequence[Members]) -> tuple[Sums, Sequence[Report]]:
        task = self._job.task(now.checkpoint)
        waiting: SimpleQueue[int] = SimpleQueue()
        for number in range(len(chunks)):
            waiting.put(number)
        reports: dict[int, Report] = {}
        work = partial(self._work, now, task, chunks, waiting, reports)
        others = min(self._workers, len(chunks)) - 1
        # The calling thread is one of the workers: a thread for one worker alone would only cost time.
        with _single_threaded(), ThreadPoolExecutor(max(1, others)) as pool:
            working = [pool.submit(work) for _ in range(others)]
            sums = work()
            for other in working:
                merge(sums, other.result())
        for number in sorted(set(range(len(chunks))) - reports.keys()):  # alone now, with all of the device's memory
            torch.cuda.empty_cache()
            with _single_threaded():
                reports[number] = self._chunk(now, task, chunks[number], sums)
        return sums, [reports[number] for number in range(len(chunks))]

    def _work(
        self, now: Round, task: Task, chunks: Sequence[Members], waiting: SimpleQueue[int], reports: dict[int, Report]
    ) -> Sums:
        """Trains chunks until none waits. One for which the device has too little memory gets no report."""
        sums = self._job.sums(now)
        while True:
            try:
                number = waiting.get_nowait()
            except Empty:
                return sums
            with suppress(torch.OutOfMemoryError):
                reports[number] = self._chunk(now, task, chunks[number], sums)

    def _chunk(self, now: Round, task: Task, members: Members, sums: Sums) -> Report:
        """Trains a chunk. Nothing of it but its report stays in memory.

        On a device other than the CPU the population's state is copied, so that nothing has changed where it fails.
        """
        job, population = self._job, self._population
        clients = population.clients(job.manifest, members, in_place=job.kernel.operations.in_place)
        trained = train_chunk(job, task, now.number, clients, summed=job.summed(sums))
        population.keep(members, trained.state, trained.steps)
        add(sums, trained.contributions)
        return trained.report

    def changed(self, members: Members) -> None:
        """Does nothing, because the state of the population is the only one."""

    def close(self) -> None:
        """Does nothing, because threads live for a round."""


@contextmanager
def _single_threaded() -> Iterator[None]:
    # Threads work on different clients and not inside an operator: this is faster for small matrices, and the bytes are
    # the same for any number of workers.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
