"""Decides which attacks of an audit can be run, before anything is trained.

An attack that is left out is reported with the reason, and no bound may hold because one was left out.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from simulator.attacks.aims import Learns
from simulator.attacks.contract import Spec
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on, expect_states
from simulator.audit import bounds, regressed_sums, row_sums
from simulator.audit.registry import NO_ADVERSARY, STEPS
from simulator.audit.request import PRIVATE, Request
from simulator.audit.runner import Finding
from simulator.errors import ConfigError
from simulator.evaluation import attacked_users
from simulator.evaluation.attackers import ATTACKERS
from simulator.experiment import assembly, seen_sums
from simulator.population.population import Members, Population
from simulator.unlearning import baselines

MOST_NUMBERS = 2**29
"""Most numbers of uploads with noise; with the copies that attacks make, some 10 GB."""


@dataclass(frozen=True)
class Planned:
    """An attack that an audit runs, or leaves out.

    Attributes:
        attack: its name.
        learns: its aim.
        hindrance: the reason why it cannot be run; empty if it can.
        expected: True if a bound on it needs it. False where there is nothing for it to attack and nobody named it.
    """

    attack: str
    learns: str
    hindrance: str = ""
    expected: bool = True


def plan(
    request: Request, task: TaskManifest, population: Population, members: Members, others: Members
) -> list[Planned]:
    """Lists the attacks of a request, with what hinders them.

    Args:
        request: what to audit, and how.
        task: the manifest.
        population: the clients.
        members: the watched clients.
        others: clients that attackers may know of.

    Raises:
        MissingAttackError: nobody has written the attacks on the task's recommender, or on a state that it protects.
        ConfigError: no attack can be run, or a bound is on no attack that runs, or on one that cannot run. Groups of
            secure sums are larger than a cohort. The simulator does not draw a client's upload by itself, or uploads
            are larger than memory, or the plan has passes.
        TooFewUsersError: too few clients of a class are watched for attackers that learn.
    """
    expect_states(task.model, (state for adversary in task.plan.adversaries for state in adversary.protects))
    _expect_moving(task)
    _expect_uploads(request, task)
    _expect_room(request, task, len(members))
    labels = population.labels(task, others)
    adversaries = task.plan.adversaries
    public = {a.name for a in adversaries if len(np.unique(labels[a.name])) == len(a.classes)}
    planned = [_of(spec, request, task, public) for spec in request.specs]
    planned += _of_sums(request, task, population)
    planned += _of_rows(request, task)
    planned += _of_regressed(request, task)
    planned += _of_cover(task)
    if request.private:
        names = [f"{PRIVATE}-{state}-{attacker}" for state in ("embedding", "all") for attacker in ATTACKERS]
        planned += [Planned(name, Learns.FEATURES.value) for name in names]
    runs = [attack for attack in planned if not attack.hindrance]
    if not runs:
        raise ConfigError(f"there is nothing to attack. {reasons(planned)}".strip())
    watched = population.labels(task, members)
    if any(spec.learns is Learns.FEATURES and Planned(spec.name, spec.learns.value) in runs for spec in request.specs):
        for adversary in adversaries:
            attacked_users.expect_enough(watched[adversary.name], adversary.classes)
    for name in request.bounds:
        bounds.expect_on(name, runs)
        if lost := bounds.held(name, [attack for attack in planned if attack.hindrance and attack.expected]):
            raise ConfigError(f"the bound {name!r} would hold unmeasured. {reasons(lost)}")
    return planned


def _expect_moving(task: TaskManifest) -> None:
    if task.plan.server.passes:
        raise ConfigError(
            "audits do not know plans with server.passes: their attacks expect the recommender's tensors in every "
            "contribution; audit the same plan with 0"
        )


def _expect_uploads(request: Request, task: TaskManifest) -> None:
    settings = request.config.engine
    if (request.specs or request.sums) and baselines.on_contributions(settings, task):
        raise ConfigError(
            f"{'local_noise' if settings.local_noise else f'apm on {task.model}'} adds noise to each upload, and the "
            "simulator draws it for the sum of a round only: single uploads would be attacked without it. Audit "
            f"only what stays on the devices (--attacks {PRIVATE}, without --sums-of), or set it to 0"
        )


def _expect_room(request: Request, task: TaskManifest, clients: int) -> None:
    """Checks the size of uploads with noise: with it, the gradient of a client's first layer is not a product."""
    shapes = {spec.name: spec.shape for spec in task.tensors}
    for adversary in task.plan.adversaries if request.specs else ():
        numbers = clients * math.prod(shapes[f"{manifest.adversary_prefix(adversary.name)}hidden.weight"])
        if adversary.noise_multiplier and numbers > MOST_NUMBERS:
            raise ConfigError(
                f"{clients} clients upload {numbers:.2g} numbers with noise for {adversary.name}, more than the "
                f"{MOST_NUMBERS:.2g} that are held at once: watch fewer (--clients)"
            )


def _of(spec: Spec, request: Request, task: TaskManifest, public: set[str]) -> Planned:
    hindrances = [(target, spec.hindrance(task, target)) for target in spec.targets(task)]
    targets = [target for target, reason in hindrances if not reason]
    if not targets:
        reason = hindrances[0][1] if hindrances else NO_ADVERSARY
        return Planned(spec.name, spec.learns.value, reason, expected=request.named)
    if not any(spec.runs(task, target) for target in targets):
        hindrance = STEPS
    elif not spec.asked(request.participations):
        hindrance = f"it adds up {spec.participations} contributions at most"
    elif spec.public and not any(target is not None and target.name in public for target in targets):
        hindrance = "all users of some class are watched, so that no attacker can know of one"
    else:
        hindrance = ""
    return Planned(spec.name, spec.learns.value, hindrance)


def _of_cover(task: TaskManifest) -> Iterator[Planned]:
    """Says that cover rows stay in what is attacked, where the recommender's attacks cannot tell them apart."""
    trained_rows = attacks_on(task.model).trained_rows
    if task.plan.local.cover_rows and isinstance(trained_rows, Impossible):
        yield Planned("removing cover rows", Learns.TOUCHED.value, trained_rows.reason, expected=False)


def _of_sums(request: Request, task: TaskManifest, population: Population) -> Iterator[Planned]:
    adversaries = task.plan.adversaries
    hindrance = "" if adversaries and task.plan.local.steps == 1 else STEPS if adversaries else NO_ADVERSARY
    labels = population.labels(task, np.arange(len(population)))
    most = min(
        [
            assembly.cohort_size(request.config.engine, len(population)),
            *(int((column >= 0).sum()) for column in labels.values()),
        ]
    )
    for sums in request.sums:
        if sums.size > most and not hindrance:
            raise ConfigError(f"{sums.name}: a round has {most} clients at most whose attribute is known")
        yield Planned(sums.name, Learns.LABEL.value, hindrance)


def _of_rows(request: Request, task: TaskManifest) -> Iterator[Planned]:
    reason, threshold = row_sums.hindrance(task), seen_sums.threshold(request.config.engine, task)
    steps = STEPS if task.plan.local.steps > 1 else ""
    for sums in row_sums.drawn_anew(request.sums):
        for name in row_sums.names(sums, threshold, task.HasField("secure_sums")):
            yield Planned(name, Learns.STATE.value, reason or steps, expected=not reason)


def _of_regressed(request: Request, task: TaskManifest) -> Iterator[Planned]:
    reason = regressed_sums.hindrance(request, task) if request.sums else ""
    for sums in row_sums.drawn_anew(request.sums):
        for name, learns in regressed_sums.names(sums, task).items():
            yield Planned(name, learns.value, reason, expected=False)


def not_run(planned: Iterable[Planned], findings: Sequence[Finding]) -> list[Planned]:
    """The attacks that were left out or found nothing, with the reason."""
    measured = {(finding.attack, finding.learns) for finding in findings}
    late = "too few watched clients contributed often enough"
    return [
        attack if attack.hindrance else Planned(attack.attack, attack.learns, late)
        for attack in planned
        # A device may have no private state besides the embedding.
        if attack.hindrance
        or ((attack.attack, attack.learns) not in measured and not attack.attack.startswith(PRIVATE))
    ]


def reasons(missing: Iterable[Planned]) -> str:
    """A sentence for every reason why attacks were not run; empty if all were."""
    by_reason: dict[str, list[str]] = {}
    for attack in missing:
        by_reason.setdefault(attack.hindrance, []).append(attack.attack)
    return " ".join(f"Not run: {', '.join(names)} ({reason})." for reason, names in by_reason.items())
