"""Sends the chunks of a round to workers, and to others where a worker is lost.

Each worker keeps the columns of the clients that it has trained, so that a client's columns travel to a worker only
where that worker did not train it last. New columns come back with the sums and are written to the population, which
holds all that a run saves, evaluates and attacks. So a lost worker loses nothing: its chunks are trained again from
the same columns, to the same bytes.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from client_sdk.protocol.values import Report
from fedau2.wire import manifest
from simulator.engines.chunks import Job, Round, Share, Sums, merge
from simulator.engines.executors.keeper import Order
from simulator.errors import ExecutorError
from simulator.population.population import Members, Population

PATIENCE = 600.0
"""Seconds that the workers have to finish some order, before they are taken for lost."""

TRIES = 3
"""Times that an order is given to a worker, before it is given up."""

NUMBERS = 2**26
"""Most private numbers of an order, so that a worker's answer fits in memory."""

CLIENTS = 2048
"""Most clients of an order, so that a slow worker answers within `PATIENCE` if it trains 4 of them a second."""

_PAUSE = 0.05


class WorkerLostError(Exception):
    """A worker has ended, or cannot be reached."""


class Worker(Protocol):
    """A worker elsewhere, with a `Keeper`."""

    @property
    def ready(self) -> bool:
        """True if it takes orders; False while it starts."""

    def send(self, now: Round, order: Order) -> None:
        """Gives it an order.

        Raises:
            WorkerLostError: it has ended.
        """

    def receive(self) -> Share:
        """Receives the answer that `Crew.wait` has announced.

        Raises:
            WorkerLostError: it has ended.
        """

    def end(self) -> None:
        """Ends it, in whatever state it is."""


class Crew(Protocol):
    """Starts workers, and waits for them."""

    def start(self, job: Job) -> Worker:
        """Starts a worker. It need not be ready."""

    def wait(self, busy: Sequence[Worker], timeout: float) -> Sequence[Worker]:
        """Waits until some have answered or ended, and returns these; none after so many seconds.

        Without busy workers it waits for all of the time.
        """

    def close(self) -> None:
        """Ends what the workers needed."""


class Dispatcher:
    """Workers that keep the columns of their clients; an `Executor`.

    Args:
        crew: starts the workers.
        job: the task.
        population: the clients.
        workers: number of workers.
    """

    def __init__(self, crew: Crew, job: Job, population: Population, workers: int) -> None:
        self._crew, self._job, self._population = crew, job, population
        self._workers = [crew.start(job) for _ in range(workers)]
        self._keeper = np.full(len(population), -1, np.int32)  # the worker that keeps a client as it is now; -1: none
        numbers = sum(math.prod(spec.shape) for spec in manifest.private(job.manifest))
        self._most = min(CLIENTS, max(1, NUMBERS // max(1, 3 * numbers)))  # clients of an order: with Adam's moments

    def train(self, now: Round, chunks: Sequence[Members]) -> tuple[Sums, Sequence[Report]]:
        """Trains the chunks of a round."""
        work = _Work(chunks, len(self._workers), self._most)
        sums, reports = self._job.sums(now), dict[int, Report]()
        while not work.done:
            self._give_orders(now, work)
            for number in self._answered(work):
                if share := self._received(number, work):
                    order = work.busy.pop(number)
                    self._keep(number, [chunks[chunk] for chunk in order], share)
                    merge(sums, share.sums)
                    reports |= dict(zip(order, share.reports, strict=True))
        return sums, [reports[chunk] for chunk in range(len(chunks))]

    def _give_orders(self, now: Round, work: "_Work") -> None:
        ready = [number for number, worker in enumerate(self._workers) if worker.ready]
        for number in ready:
            if number in work.busy or not (chunks := work.next(number, ready)):
                continue
            work.busy[number] = chunks
            try:
                self._workers[number].send(now, self._order(number, [work.chunks[chunk] for chunk in chunks]))
            except WorkerLostError:
                self._lost(number, work)

    def _order(self, number: int, chunks: Sequence[Members]) -> Order:
        members = np.concatenate(chunks)
        brought = members[self._keeper[members] != number]
        return Order(chunks, brought, self._population.clients(self._job.manifest, brought) if len(brought) else None)

    def _answered(self, work: "_Work") -> Sequence[int]:
        """Returns the workers that have answered or ended; those that are busy too long are ended.

        Raises:
            ExecutorError: for too long, no worker was ready.
        """
        by_worker = {self._workers[number]: number for number in work.busy}
        if answered := [by_worker[worker] for worker in self._crew.wait(list(by_worker), _PAUSE)]:
            work.since = time.monotonic()
        elif time.monotonic() - work.since > PATIENCE:
            if not work.busy:
                raise ExecutorError(f"no worker has been ready for {PATIENCE:.0f} seconds: does the cluster have room?")
            for number in list(work.busy):
                self._lost(number, work)
            work.since = time.monotonic()
        return answered

    def _received(self, number: int, work: "_Work") -> Share | None:
        try:
            return self._workers[number].receive()
        except WorkerLostError:
            self._lost(number, work)
            return None

    def _lost(self, number: int, work: "_Work") -> None:
        """Puts another worker in the place of one that is lost, and its order back.

        Raises:
            ExecutorError: the order has been given to too many workers.
        """
        self._workers[number].end()
        self._keeper[self._keeper == number] = -1
        work.give_back(number)
        self._workers[number] = self._crew.start(self._job)

    def _keep(self, number: int, chunks: Sequence[Members], share: Share) -> None:
        for members, state in zip(chunks, share.states, strict=True):
            self._population.keep(members, state, 0)
            self._keeper[members] = number

    def changed(self, members: Members) -> None:
        """Has the columns of these clients sent anew, before they train again."""
        self._keeper[members] = -1

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            worker.end()
        self._crew.close()


class _Work:
    """The orders of a round that are left.

    Args:
        chunks: of the round, by user row, so that a worker mostly gets the clients that it keeps.
        workers: number of workers.
        most: clients of an order, where a chunk has no more.

    Attributes:
        busy: the chunks that each busy worker trains.
        since: when a worker answered last.
    """

    def __init__(self, chunks: Sequence[Members], workers: int, most: int) -> None:
        self.chunks = chunks
        self.busy: dict[int, Sequence[int]] = {}
        self.since = time.monotonic()
        self._waiting = [deque[Sequence[int]]() for _ in range(workers)]
        self._losses = Counter[int]()
        step = max(1, most // max(1, max(map(len, chunks), default=1)))
        for queue, numbers in zip(self._waiting, np.array_split(np.arange(len(chunks)), workers), strict=True):
            queue.extend(numbers[start : start + step].tolist() for start in range(0, len(numbers), step))

    @property
    def done(self) -> bool:
        """True if nothing is left."""
        return not self.busy and not any(self._waiting)

    def next(self, worker: int, ready: Sequence[int]) -> Sequence[int] | None:
        """Takes the next order of a worker, or else one of a worker that is not ready; None: nothing waits."""
        unattended = [queue for number, queue in enumerate(self._waiting) if number not in ready]
        return next((queue.popleft() for queue in (self._waiting[worker], *unattended) if queue), None)

    def give_back(self, worker: int) -> None:
        """Puts back the order of a worker that is lost.

        Raises:
            ExecutorError: the order has been given to too many workers.
        """
        order = self.busy.pop(worker)
        self._losses[order[0]] += 1
        if self._losses[order[0]] >= TRIES:
            clients = sum(len(self.chunks[chunk]) for chunk in order)
            raise ExecutorError(
                f"{TRIES} workers were lost one after another with the same {clients} clients: is memory short? Give "
                "each worker more, or take more workers"
            )
        self._waiting[worker].appendleft(order)
