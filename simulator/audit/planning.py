"""What of an audit can be run at all, before anything is trained: no bound may hold because an attack was left out."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from simulator.attacks.contract import Learns, Spec
from simulator.audit import bounds
from simulator.audit.request import PRIVATE, Request
from simulator.audit.runner import Finding
from simulator.errors import ConfigError
from simulator.evaluation import attackers
from simulator.evaluation.attackers import ATTACKERS
from simulator.experiment import assembly
from simulator.population.population import Members, Population
from simulator.unlearning import baselines

_NOTHING = "this task has nothing for it to attack"
MOST_NUMBERS = 2**29
"""Of uploads with noise; with the copies that attacks make, some 10 GB."""

_STEPS = "contributions of several local steps are no gradients"


@dataclass(frozen=True)
class Planned:
    """An attack that was asked for.

    Attributes:
        attack: its name.
        learns: what it is after.
        hindrance: why it cannot be run; empty: it can.
    """

    attack: str
    learns: str
    hindrance: str = ""


def plan(
    request: Request, task: TaskManifest, population: Population, members: Members, others: Members
) -> list[Planned]:
    """The attacks that were asked for.

    Args:
        request: what was asked.
        task: the manifest.
        population: the clients.
        members: those that are watched.
        others: those that attackers may know of.

    Raises:
        ConfigError: there is nothing to run, groups of secure sums are larger than what they are of, a bound is on
            nothing that runs or on something that cannot, what is uploaded is not simulated client by client, or is
            more than memory holds.
        TooFewUsersError: too few clients of a class are watched for attackers that learn.
    """
    _expect_uploads(request, task)
    _expect_room(request, task, len(members))
    labels = population.labels(task, others)
    public = {each.name for each in task.plan.adversaries if len(np.unique(labels[each.name])) == len(each.classes)}
    planned = [each for spec in request.specs for each in _of(spec, request, task, public)]
    planned += _of_sums(request, task, population)
    if request.private:
        names = [f"{PRIVATE}-{what}-{attacker}" for what in ("embedding", "all") for attacker in ATTACKERS]
        planned += [Planned(name, Learns.FEATURES.value) for name in names]
    runs = [each for each in planned if not each.hindrance]
    if not runs:
        raise ConfigError(f"there is nothing to attack. {told(planned)}".strip())
    watched = population.labels(task, members)
    if any(spec.learns is Learns.FEATURES and Planned(spec.name, spec.learns.value) in runs for spec in request.specs):
        for each in task.plan.adversaries:
            attackers.expect_enough(watched[each.name], each.classes)
    for name in request.bounds:
        bounds.expect_on(name, runs)
        if lost := bounds.held(name, [each for each in planned if each.hindrance]):
            raise ConfigError(f"the bound {name!r} would hold unmeasured. {told(lost)}")
    return planned


def _expect_uploads(request: Request, task: TaskManifest) -> None:
    settings = request.config.engine
    if (request.specs or request.sums) and baselines.on_contributions(settings, task):
        raise ConfigError(
            f"{'local_noise' if settings.local_noise else f'apm on {task.model}'} adds noise to each upload, and the "
            "simulator draws it for the sum of a round only: single uploads would be attacked without it. Audit what "
            f"stays on the devices alone (--attacks {PRIVATE}, without --sums), or set it to 0"
        )


def _expect_room(request: Request, task: TaskManifest, clients: int) -> None:
    """Checks what is held of uploads with noise: the gradients of a client's first layer, which are no product then."""
    shapes = {spec.name: spec.shape for spec in task.tensors}
    for each in task.plan.adversaries if request.specs else ():
        numbers = clients * math.prod(shapes[f"{manifest.adversary_prefix(each.name)}hidden.weight"])
        if each.noise_multiplier and numbers > MOST_NUMBERS:
            raise ConfigError(
                f"{clients} clients upload {numbers:.2g} numbers with noise for {each.name}, more than the "
                f"{MOST_NUMBERS:.2g} that are held at once: watch fewer (--clients)"
            )


def _of(spec: Spec, request: Request, task: TaskManifest, public: set[str]) -> Iterator[Planned]:
    targets = [each for each in (None, *task.plan.adversaries) if spec.applies(task, each)]
    if not targets and not request.named:
        return
    if not targets:
        hindrance = _NOTHING
    elif not any(spec.runs(task, each) for each in targets):
        hindrance = _STEPS
    elif not spec.asked(request.participations):
        hindrance = f"it adds up {spec.participations} contributions at most"
    elif spec.public and not any(each is not None and each.name in public for each in targets):
        hindrance = "of some class no user is left that is not watched"
    else:
        hindrance = ""
    yield Planned(spec.name, spec.learns.value, hindrance)


def _of_sums(request: Request, task: TaskManifest, population: Population) -> Iterator[Planned]:
    adversaries = task.plan.adversaries
    hindrance = "" if adversaries and task.plan.local.steps == 1 else _STEPS if adversaries else _NOTHING
    labels = population.labels(task, np.arange(len(population)))
    most = min(
        [
            assembly.cohort_size(request.config.engine.fraction, len(population)),
            *(int((one >= 0).sum()) for one in labels.values()),
        ]
    )
    for each in request.sums:
        if each.size > most and not hindrance:
            raise ConfigError(f"{each.name}: a round has {most} clients at most whose attribute is known")
        yield Planned(each.name, Learns.LABEL.value, hindrance)


def not_run(planned: Iterable[Planned], findings: Sequence[Finding]) -> list[Planned]:
    """Those attacks that found nothing, with the reason."""
    found = {(each.attack, each.learns) for each in findings}
    late = "too few watched clients contributed often enough"
    return [
        each if each.hindrance else Planned(each.attack, each.learns, late)
        for each in planned
        # What stays on the device may be the embedding and nothing else.
        if each.hindrance or ((each.attack, each.learns) not in found and not each.attack.startswith(PRIVATE))
    ]


def told(missing: Iterable[Planned]) -> str:
    """A sentence for each reason; empty if nothing is missing."""
    reasons: dict[str, list[str]] = {}
    for each in missing:
        reasons.setdefault(each.hindrance, []).append(each.attack)
    return " ".join(f"Not run: {', '.join(names)} ({reason})." for reason, names in reasons.items())
