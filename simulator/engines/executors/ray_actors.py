"""Workers that are actors of a Ray cluster, on this machine or on others."""

import importlib
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from simulator.engines.chunks import Job, Round, Share
from simulator.engines.executors.dispatch import Dispatcher, Worker, WorkerLostError
from simulator.engines.executors.keeper import Keeper, Order
from simulator.errors import ConfigError, ExecutorError, explain
from simulator.population.population import Population


class ActorWorker:
    """An actor with a `Keeper`; a `dispatch.Worker`. It needs one core of the cluster."""

    def __init__(self, ray: Any, job: Job, rounds: "_Rounds") -> None:  # noqa: ANN401
        self._ray, self._rounds = ray, rounds
        self._actor = ray.remote(num_cpus=1, max_restarts=0)(_Actor).remote(job)
        self._begun = self._actor.begun.remote()
        self._is_ready = False
        self.answer: Any = None

    @property
    def ready(self) -> bool:
        """True once the cluster has found room for it, and it has started or failed to."""
        self._is_ready = self._is_ready or bool(self._ray.wait([self._begun], timeout=0)[0])
        return self._is_ready

    def send(self, now: Round, order: Order) -> None:
        """Gives it an order. If it is lost, this is noticed when its answer is received."""
        self.answer = self._actor.train.remote(self._rounds.reference(now), order)

    def receive(self) -> Share:
        """Receives its answer; an error that it met is raised here."""
        try:
            share: Share = self._ray.get(self.answer)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except self._ray.exceptions.RayError as error:  # the actor, its node or its answer is lost
            raise WorkerLostError from error
        return share

    def end(self) -> None:
        """Kills it: all that it keeps is in the population too."""
        self._ray.kill(self._actor)


class Actors:
    """Starts actors; a `dispatch.Crew`.

    Args:
        address: of the cluster; empty: a cluster on this machine, which lives as long as the executor.
        workers: number of actors.

    Raises:
        ConfigError: Ray is not installed.
        ExecutorError: there is no cluster at the address.
    """

    def __init__(self, address: str, workers: int) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as Ray's newer versions do, without warning
        try:
            ray = importlib.import_module("ray")
        except ModuleNotFoundError as error:
            raise ConfigError("engine.executor ray needs Ray: pip install 'fedau2[ray]'") from error
        self._ray, self._rounds = ray, _Rounds(ray)
        _expect_listening(address)
        place: dict[str, Any] = {"address": address} if address else {"num_cpus": workers, "include_dashboard": False}
        try:
            ray.init(**place, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # Ray has no class for all of them
            where = address or "this machine"
            raise ExecutorError(f"no Ray cluster answers at {where}: {explain(error)}") from error

    def start(self, job: Job) -> ActorWorker:
        """Asks the cluster for an actor."""
        return ActorWorker(self._ray, job, self._rounds)

    def wait(self, busy: Sequence[Worker], timeout: float) -> Sequence[Worker]:
        """Waits for answers, or for the end of an actor."""
        if not busy:
            time.sleep(timeout)
            return []
        answers: dict[Any, Worker] = {worker.answer: worker for worker in busy if isinstance(worker, ActorWorker)}
        done, _ = self._ray.wait(list(answers), num_returns=1, timeout=timeout)
        return [answers[answer] for answer in done]

    def close(self) -> None:
        """Leaves the cluster."""
        self._ray.shutdown()


def _expect_listening(address: str) -> None:
    """Checks at once what Ray would try for minutes.

    Raises:
        ExecutorError: nobody listens at HOST:PORT.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return  # auto, or a cluster of this machine
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise ExecutorError(f"no Ray cluster answers at {address}: {explain(error)}") from error


class _Rounds:
    """The newest round in the cluster's memory, where all actors read it."""

    def __init__(self, ray: Any) -> None:  # noqa: ANN401
        self._ray = ray
        self._newest: tuple[Round | None, Any] = None, None

    def reference(self, now: Round) -> Any:  # noqa: ANN401 - Ray's type
        if self._newest[0] is not now:
            self._newest = now, self._ray.put(now)
        return self._newest[1]


class _Actor:
    """The actor itself, in a worker of the cluster."""

    def __init__(self, job: Job) -> None:
        self._keeper = Keeper(job)

    def begun(self) -> None:
        """Returns when the actor has started."""

    def train(self, now: Round, order: Order) -> Share:
        return self._keeper.train(now, order)


def start(job: Job, population: Population, workers: int, address: str) -> Dispatcher:
    """Starts an executor of actors."""
    return Dispatcher(Actors(address, workers), job, population, workers)
