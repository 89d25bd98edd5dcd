"""Audits the opened sums of many rounds by `simulator.attacks.regressed`: recorded items and protected states."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import TaskManifest
from simulator.attacks import regressed
from simulator.attacks.aims import Learns
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on
from simulator.attacks.regressed import OpenedRounds
from simulator.attacks.sums import Sums
from simulator.audit import scores
from simulator.audit.request import Request
from simulator.audit.row_sums import drawn_anew
from simulator.audit.runner import Finding
from simulator.experiment import assembly
from simulator.population.population import Members, Population

_PLAIN = "the run's sums are not of integers"

LEAST_ROUNDS = 2
"""Fewest sums that a regression needs."""


def names(of: Sums, task: TaskManifest) -> dict[str, Learns]:
    """Names the attacks on the sums of many rounds, with their aims."""
    attacks = attacks_on(task.model)
    found = {} if isinstance(attacks.pulls, Impossible) else {f"{of.name}-items": Learns.RECORDED}
    readable = [state for state, reader in attacks.states.items() if not isinstance(reader, Impossible)]
    return found | {f"{of.name}-{state}": Learns.STATE for state in readable}


def hindrance(request: Request, task: TaskManifest) -> str:
    """Returns the reason why the attacks are not made; empty if they are."""
    if not task.HasField("secure_sums"):
        return _PLAIN
    if task.plan.local.steps > 1:
        return "contributions of several local steps are not gradients"
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
    settings, started = request.config.engine, time.process_time()
    pulls, states = regressed.pulls(task), regressed.states(task)
    opened = OpenedRounds(task, population, settings.seed, [*([pulls] if pulls else []), *states.values()])
    everyone = clients.tolist()
    truth = {
        name: np.array([reader(task, contribution) for contribution in population.contributions(task, 0, clients)])
        for name, reader in states.items()
    }
    for number in range(1, max(request.sums_rounds) + 1):
        members = assembly.cohort(settings, settings.rounds + number, len(population))[: of.size]
        opened.add(settings.rounds + number, members)
        if number not in request.sums_rounds or number < LEAST_ROUNDS:
            continue
        estimates, taken = opened.estimates(), round(number * of.size / len(population))

        def finding(name: str, learns: Learns, read: NDArray[Any], right: NDArray[Any], taken: int = taken) -> Finding:
            score = scores.score(learns, read, right, 2, settings.seed)
            return Finding(f"{of.name}-{name}", learns.value, "", taken, score, time.process_time() - started)

        if pulls:
            read = np.array([pulls(task, estimates.against_others(client)) < 0 for client in everyone])
            yield finding("items", Learns.RECORDED, read, _recorded(task, population, clients))
        for name, reader in states.items():
            read = np.array([reader(task, estimates.of(client)) for client in everyone])
            yield finding(name, Learns.STATE, read, truth[name])


def _recorded(task: Task, population: Population, clients: Members) -> NDArray[np.bool_]:
    recorded = np.zeros((len(clients), task.manifest.items), np.bool_)
    for row, client in zip(recorded, clients, strict=True):
        row[population.interactions[client]] = True
    return recorded
