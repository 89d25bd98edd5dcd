"""Audits one opened sum of a round: the devices whose vectors its rows show.

The server sees all rows, or all but the thin ones that stay closed, and with a policy of noise it sees noise on them.
Where there is a policy, two stronger attackers follow. One runs all devices of a sum but one, and takes their
contributions off it. So the victim is alone, and no row is thin, because fake devices touch whatever they like. The
other is the server together with the unmasker, who can take mask and noise off any contribution.
"""

import time
from collections.abc import Iterator, Sequence

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import TaskManifest
from simulator.attacks import sums
from simulator.attacks.aims import Learns
from simulator.attacks.lone_rows import Read
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on
from simulator.attacks.sums import Sums
from simulator.audit import scores
from simulator.audit.request import Request
from simulator.audit.runner import Finding
from simulator.audit.scores import Score
from simulator.experiment import assembly, seen_sums
from simulator.experiment.seen_sums import SeenSums
from simulator.population.population import Population

Audited = tuple[Finding, str]
"""A row of the table, and a sentence that says more."""


VICTIMS = 4
"""Most devices that each of the stronger attackers singles out."""


def names(of: Sums, threshold: int, policy: bool = False) -> list[str]:
    """Names the attacks on a sum: with all rows, without closed ones if there are any, and with a policy two more."""
    name = f"lone-rows-{of.size}"
    further = [f"{name}-fakes", f"{name}-unmasker"] if policy else []
    return [name, *([f"{name}-closed"] if threshold > 1 else []), *further]


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
    table, settings = seen_sums.table_of(task.manifest), request.config.engine
    if not table:
        return
    for of in drawn_anew(request.sums):
        started = time.process_time()
        members = assembly.cohort(settings, settings.rounds, len(population))[: of.size]
        least, sums_of = seen_sums.threshold(settings, task.manifest), SeenSums(task, population, settings, table)
        whole = sums_of(members)
        attacked = [[whole], *([[whole.closed(least)]] if least > 1 else [])]
        if hidden := task.manifest.HasField("secure_sums"):
            alone = members[:VICTIMS, None]
            attacked += [[sums_of(victim) for victim in alone], [sums_of(victim, exact=True) for victim in alone]]
        for name, parts in zip(names(of, least, hidden), attacked, strict=True):
            read = seen_sums.read(parts, population, task.manifest)
            spent = time.process_time() - started
            yield Finding(name, Learns.STATE.value, "", 1, _score(read), spent), _sentence(name, read)


def drawn_anew(groups: Sequence[Sums]) -> list[Sums]:
    """Leaves out the groups that are fixed, whose sums are like the others in a single round."""
    return [of for of in groups if not of.fixed]


def law(request: Request, clients: int) -> Iterator[str]:
    """Says what a regression over rounds finds by the law of sums, for the numbers of rounds of the request."""
    for of in drawn_anew(request.sums):
        sums_a_round = max(1, assembly.cohort_size(request.config.engine, clients) // of.size)
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
        f"{name}: one sum shows the vectors of {read.read} of {read.devices} devices, and {read.items} of "
        f"{read.recorded} recorded items with them; {read.wrong} items are wrong. {read.foreign} groups are of "
        "no single device."
    )
