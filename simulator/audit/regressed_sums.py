"""Audits the opened sums of many rounds by `simulator.attacks.regressed`: recorded items and protected states."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import TaskManifest
from simulator.attacks import regressed
from simulator.attacks.aims import Learns
from simulator.attacks.regressed import Estimates, OpenedRounds, Reader
from simulator.attacks.sums import Sums
from simulator.audit import scores
from simulator.audit.registry import STEPS
from simulator.audit.request import Request
from simulator.audit.row_sums import drawn_anew
from simulator.audit.runner import Finding
from simulator.experiment import assembly
from simulator.population.population import Members, Population

_PLAIN = "the run's sums are not of integers"

LEAST_ROUNDS = 2
"""Fewest sums that a regression needs."""


@dataclass(frozen=True, eq=False)
class _Aim:
    """Something that is read of every client: the reading of one client's estimate, and what is right for all."""

    name: str
    learns: Learns
    read: Callable[[Estimates, int], NDArray[Any]]
    truth: NDArray[Any]


def names(of: Sums, task: TaskManifest) -> dict[str, Learns]:
    """Names the attacks on the sums of many rounds, with their aims."""
    items = {f"{of.name}-items": Learns.RECORDED} if regressed.pulls(task.model) else {}
    return items | {f"{of.name}-{state}": Learns.STATE for state in regressed.states(task.model)}


def hindrance(request: Request, task: TaskManifest) -> str:
    """Returns the reason why the attacks are not made; empty if they are."""
    if not task.HasField("secure_sums"):
        return _PLAIN
    if task.plan.local.steps > 1:
        return STEPS
    return "" if max(request.sums_rounds) >= LEAST_ROUNDS else f"it needs {LEAST_ROUNDS} rounds"


def attack(request: Request, task: Task, population: Population, clients: Members) -> Iterator[Finding]:
    """Attacks some clients after each of the request's numbers of rounds.

    Args:
        request: the audit's request.
        task: manifest and checkpoint.
        population: the clients.
        clients: those that are attacked.
    """
    if hindrance(request, task.manifest):
        return
    for of in drawn_anew(request.sums):
        yield from _attack(request, task, population, clients, of)


def _attack(request: Request, task: Task, population: Population, clients: Members, of: Sums) -> Iterator[Finding]:
    settings, started, model = request.config.engine, time.process_time(), task.manifest.model
    pulls, states = regressed.pulls(model), regressed.states(model)
    opened = OpenedRounds(task, population, settings.seed, [*([pulls] if pulls else []), *states.values()])
    aims = [_of_state(task, population, clients, name, reader) for name, reader in states.items()]
    if pulls:
        aims.insert(0, _of_items(task, population, clients, pulls))
    for number in range(1, max(request.sums_rounds) + 1):
        members = assembly.cohort(settings, settings.rounds + number, len(population))[: of.size]
        opened.add(settings.rounds + number, members)
        if number not in request.sums_rounds or number < LEAST_ROUNDS:
            continue
        estimates, taken = opened.estimates(), round(number * of.size / len(population))
        for aim in aims:
            read = np.array([aim.read(estimates, client) for client in clients.tolist()])
            score, spent = scores.score(aim.learns, read, aim.truth, 2, settings.seed), time.process_time() - started
            yield Finding(f"{of.name}-{aim.name}", aim.learns.value, "", taken, score, spent)


def _of_items(task: Task, population: Population, clients: Members, pulls: Reader) -> _Aim:
    def read(estimates: Estimates, client: int) -> NDArray[Any]:
        return np.asarray(pulls(task, estimates.against_others(client)) < 0)

    return _Aim("items", Learns.RECORDED, read, population.recorded(task.manifest, clients))


def _of_state(task: Task, population: Population, clients: Members, name: str, reader: Reader) -> _Aim:
    def read(estimates: Estimates, client: int) -> NDArray[Any]:
        return reader(task, estimates.of(client))

    truth = [reader(task, contribution) for contribution in population.contributions(task, 0, clients)]
    return _Aim(name, Learns.STATE, read, np.array(truth))
