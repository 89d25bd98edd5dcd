"""Audits one exact sum of a round: the devices whose vectors its rows show, with and without its thin rows."""

import time
from collections.abc import Iterator, Sequence

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import DRAW_WHOLE, TaskManifest
from simulator.attacks import lone_rows, sums
from simulator.attacks.aims import Learns
from simulator.attacks.lone_rows import Read
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on
from simulator.attacks.sums import Sums
from simulator.audit import scores
from simulator.audit.request import Request
from simulator.audit.runner import Finding
from simulator.audit.scores import Score
from simulator.experiment import assembly
from simulator.population.population import Population

Audited = tuple[Finding, str]
"""A row of the table, and a sentence that says more."""


def names(of: Sums, threshold: int) -> list[str]:
    """Names the attacks on a sum: with all rows open, and where rows are closed, without the closed ones."""
    return [f"lone-rows-{of.size}", *([f"lone-rows-{of.size}-closed"] if threshold > 1 else [])]


def hindrance(task: TaskManifest) -> str:
    """Returns the reason why no vector can show in a sum; empty if one can."""
    table = attacks_on(task.model).lone_rows
    return table.reason if isinstance(table, Impossible) else ""


def attack(request: Request, task: Task, population: Population) -> Iterator[Audited]:
    """Attacks a sum of one round, in which all groups of the request that are drawn anew take part.

    Args:
        request: the audit's request.
        task: manifest and checkpoint.
        population: the clients.
    """
    table, settings = attacks_on(task.manifest.model).lone_rows, request.config.engine
    if isinstance(table, Impossible) or task.manifest.plan.local.steps > 1:
        return
    for of in drawn_anew(request.sums):
        started = time.process_time()
        members = assembly.cohort(settings, settings.rounds, len(population))[: of.size]
        whole = lone_rows.Sum.of(task, population, members, settings.rounds, table)
        recorded = [population.interactions[member] for member in members.tolist()]
        seen = [whole, *([whole.closed(settings.row_threshold)] if settings.row_threshold > 1 else [])]
        for name, part in zip(names(of, settings.row_threshold), seen, strict=True):
            found = lone_rows.groups(part.total, draws=task.manifest.draw != DRAW_WHOLE)
            read = lone_rows.judge(found, part.parts, recorded)
            spent = time.process_time() - started
            yield Finding(name, Learns.STATE.value, "", 1, _score(read), spent), _sentence(name, read)


def drawn_anew(groups: Sequence[Sums]) -> list[Sums]:
    """Leaves out the groups that are fixed, whose sums are like the others in a single round."""
    return [of for of in groups if not of.fixed]


def law(request: Request, clients: int) -> Iterator[str]:
    """Says what a regression over rounds finds by the law of sums, for the numbers of rounds of the request."""
    for of in drawn_anew(request.sums):
        sums_a_round = max(1, assembly.cohort_size(request.config.engine.fraction, clients) // of.size)
        reached = (
            f"{sums.law(rounds * sums_a_round, of.size, clients):.2f} after {rounds}" for rounds in request.sums_rounds
        )
        yield (
            f"{of.name}: by the law of sums over clients, a regression finds {', '.join(reached)} rounds, where parts "
            "differ by one of two equally frequent labels alone."
        )


def _score(read: Read) -> Score:
    success = read.read / read.devices
    return Score(success, *scores.interval(success, read.devices), 0.0, 0.0, 0.0, read.devices)


def _sentence(name: str, read: Read) -> str:
    return (
        f"{name}: one exact sum shows the vectors of {read.read} of {read.devices} devices, and {read.items} of "
        f"{read.recorded} recorded items with them; {read.wrong} items are wrong. {read.foreign} groups are of "
        "no single device."
    )
