"""Workers that are processes of this machine, each with a pipe."""

import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from simulator.children import Child
from simulator.engines.chunks import Job, Round, Share
from simulator.engines.executors.dispatch import Dispatcher, Worker, WorkerLostError
from simulator.engines.executors.keeper import Keeper, Order
from simulator.population.population import Population

_GONE = (EOFError, ConnectionError)


class ProcessWorker:
    """A process that trains orders one after another; a `dispatch.Worker`."""

    ready = True  # what it is sent before it has started waits in the pipe

    def __init__(self, job: Job, prepare: Callable[[], None]) -> None:
        self.child = Child(_serve, job, prepare)

    def send(self, now: Round, order: Order) -> None:
        """Gives it an order."""
        try:
            self.child.connection.send((now, order))
        except _GONE as error:
            raise WorkerLostError from error

    def receive(self) -> Share:
        """Receives its answer; an error that it met is raised here."""
        try:
            answer: Share | Exception = self.child.connection.recv()
        except _GONE as error:
            raise WorkerLostError from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """Kills it: all that it keeps is in the population too."""
        self.child.process.kill()
        self.child.end()


class Processes:
    """Starts processes; a `dispatch.Crew`.

    Args:
        prepare: called in each process before it trains; a module's function.
    """

    def __init__(self, prepare: Callable[[], None]) -> None:
        self._prepare = prepare

    def start(self, job: Job) -> ProcessWorker:
        """Starts a process."""
        return ProcessWorker(job, self._prepare)

    def wait(self, busy: Sequence[Worker], timeout: float) -> Sequence[Worker]:
        """Waits for answers, or for the end of a process."""
        if not busy:
            time.sleep(timeout)
        connections: dict[Any, Worker] = {w.child.connection: w for w in busy if isinstance(w, ProcessWorker)}
        return [connections[connection] for connection in wait(list(connections), timeout)]

    def close(self) -> None:
        """Does nothing, because processes need nothing else."""


def start(job: Job, population: Population, workers: int, prepare: Callable[[], None]) -> Dispatcher:
    """Starts an executor of processes."""
    return Dispatcher(Processes(prepare), job, population, workers)


def _serve(
    connection: "Connection[Share | Exception, tuple[Round, Order]]", job: Job, prepare: Callable[[], None]
) -> None:
    prepare()
    keeper = Keeper(job)
    while True:
        now, order = connection.recv()
        try:
            answer: Share | Exception = keeper.train(now, order)
        except Exception as error:
            answer = error
        connection.send(answer)
