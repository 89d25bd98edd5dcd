"""An audit: trains a configuration, watches some of its clients, and runs every attack that is asked for."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from client_sdk.kernel.training import Task
from export.bundle import Bundle
from fedau2.v1.task_pb2 import Plan, TaskManifest
from simulator.attacks import sums
from simulator.attacks.contract import Learns
from simulator.audit import planning, scores
from simulator.audit.census import Facts
from simulator.audit.planning import Planned
from simulator.audit.recording import Recorded
from simulator.audit.request import PRIVATE, Request
from simulator.audit.runner import Finding, Runner
from simulator.audit.view import Watch, Watching, known, still
from simulator.engines.engine import Engine
from simulator.engines.fleet import FleetEngine
from simulator.evaluation.attackers import ATTACKERS, balanced
from simulator.evaluation.evaluation import Attacked
from simulator.experiment import assembly
from simulator.experiment.run import hide
from simulator.experiment.train import Trained, train
from simulator.experiment.trainer import Progress
from simulator.population.population import Members, Population


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        request: what was asked.
        plan: of the task.
        findings: rows of the table.
        ndcg: test NDCG@10 of what was trained, after erasure or noise.
        round: rounds trained in the chosen state.
        bytes_up: of one contribution, the mean.
        seconds: by the clock, training included.
        facts: what is noted beside.
        not_run: attacks that were asked for and found nothing, with the reason.
    """

    request: Request
    plan: Plan
    findings: Sequence[Finding]
    ndcg: float
    round: int
    bytes_up: float
    seconds: float
    facts: Facts = field(default_factory=Facts)
    not_run: Sequence[Planned] = ()


def audit(request: Request, progress: Progress) -> Audit:
    """Trains and attacks.

    Raises:
        SimulatorError: the configuration or the data set cannot be used.
        ConfigError: what is asked for cannot be done, or a bound would hold unmeasured; before training where that is
            known.
        TooFewUsersError: there are too few for attackers that learn.
    """
    started = time.perf_counter()
    watching = _Watching(request)
    recording = request.recording if request.view == "fleet" else None
    wrap = None if request.view == "chosen" else watching.wrap
    where = (request.trained, request.folder, request.data_dir)
    trained = train(*where, progress, expect=watching.expect, wrap=wrap, audit=recording, again=request.again)
    task, chosen = trained.chosen()
    runner = watching.runner_on(task, chosen)
    progress.start("attacking", len(request.specs))
    findings = runner.findings(progress.advance)
    on_sums, sums_seconds = _timed(lambda: _on_sums(request, task, chosen))
    hide(trained)
    on_private, private_seconds = _timed(lambda: _on_private(request, trained))
    findings += on_sums + on_private
    ranks = trained.evaluation.test_ranks(trained.best.checkpoint, trained.best.private)
    return Audit(
        request,
        trained.bundle.manifest.plan,
        findings,
        ranks.metrics()["ndcg@10"],
        trained.best.round,
        trained.cost["bytes_up"],
        time.perf_counter() - started,
        runner.facts(sums_seconds + private_seconds),
        planning.not_run(watching.planned, findings),
    )


def _timed(attack: Callable[[], list[Finding]]) -> tuple[list[Finding], float]:
    """What is found, and in how many seconds of the processor."""
    began = time.process_time()
    return attack(), time.process_time() - began


class _Watching:
    """Takes the view that is asked for: during training, or afterwards."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._runner: Runner | None = None
        self.planned: Sequence[Planned] = ()

    def expect(self, bundle: Bundle, population: Population) -> None:
        """Plans the attacks.

        Raises:
            ConfigError, TooFewUsersError: see `feasible.plan`.
        """
        members, others = drawn(self._request, bundle.manifest, population)
        self.planned = planning.plan(self._request, bundle.manifest, population, members, others)

    def wrap(self, engine: Engine, bundle: Bundle, population: Population) -> Engine:
        """The engine, watched."""
        task = Task.load(bundle.manifest, engine.checkpoint)
        watch, self._runner = _watch(self._request, task, population)
        if isinstance(engine, FleetEngine):
            return Recorded(engine, bundle.manifest, watch, self._runner, self._request.recording)
        return Watching(engine, bundle.manifest, watch, self._runner)

    def runner_on(self, task: Task, chosen: Population) -> Runner:
        """Attacks that have seen everything."""
        if self._runner is None:
            watch, self._runner = _watch(self._request, task, chosen)
            first = self._request.config.engine.rounds
            still(watch, task, range(first, first + self._runner.rounds), self._runner)
        return self._runner


def drawn(request: Request, task: TaskManifest, population: Population) -> tuple[Members, Members]:
    """The watched clients, equally many of each class of the first attribute, and others whose attributes are known.

    A quarter of each class, rounded up, is not watched: attackers may know of them.
    """
    everyone = np.arange(len(population))
    labels = population.labels(task, everyone)
    if labels:
        known = np.all([each >= 0 for each in labels.values()], axis=0)
        first = np.where(known, next(iter(labels.values())), -1)
        most = min(request.clients, 3 * int(np.bincount(first[known]).min()) // 4)
        members = np.sort(balanced(first, np.random.default_rng(request.config.engine.seed), most))
    else:
        known = np.ones(len(population), np.bool_)
        order = np.random.default_rng(request.config.engine.seed).permutation(everyone)
        members = np.sort(order[: 2 * request.clients])
    return members, np.setdiff1d(everyone[known], members)


def _watch(request: Request, task: Task, population: Population) -> tuple[Watch, Runner]:
    """Draws the watched clients and sets attacks up."""
    manifest = task.manifest
    members, others = drawn(request, manifest, population)
    recorded = np.zeros((len(members), manifest.items), np.bool_)
    for row, member in zip(recorded, members, strict=True):
        row[population.interactions[member]] = True
    public = known(task, population, others, 0) if any(each.public for each in request.specs) else {}
    watch = Watch(population, members, others, public)
    runner = Runner(
        request.specs,
        manifest,
        recorded,
        request.participations,
        watch.public,
        request.config.engine.seed,
        request.splits,
    )
    return watch, runner


def _on_sums(request: Request, task: Task, population: Population) -> list[Finding]:
    """Attacks on secure aggregation, on every adversary."""
    findings, seed = [], request.config.engine.seed
    cohort = assembly.cohort_size(request.config.engine.fraction, len(population))
    for each in task.manifest.plan.adversaries if task.manifest.plan.local.steps == 1 else ():
        members = sums.knowing(population, task, each)
        truth = population.labels(task.manifest, members)[each.name]
        for how in request.sums:
            started = time.process_time()
            for rounds, guess in sums.attack(task, each, population, how, cohort, request.sums_rounds, seed):
                score = scores.score(Learns.LABEL, guess, truth, len(each.classes), seed)
                taken, spent = round(rounds * cohort / len(members)), time.process_time() - started
                findings.append(Finding(how.name, Learns.LABEL.value, each.name, taken, score, spent))
    return findings


def _on_private(request: Request, trained: Trained) -> list[Finding]:
    """Attribute attackers on what a thief of the chosen state has."""
    if not request.private:
        return []
    evaluation, best, findings = trained.evaluation, trained.best, []
    attacked = Attacked.of(evaluation.scorer(best.checkpoint, best.private), best.private)
    states = {"embedding": attacked.embedding, "all": attacked.private}
    if attacked.private is attacked.embedding:
        del states["all"]
    for name, attribute in trained.attributes.items():
        for what, features in states.items():
            for attacker in ATTACKERS:
                started = time.process_time()
                classes = len(attribute.classes)
                score = scores.learned(
                    features, attribute.labels, attacker, classes, request.splits, request.config.engine.seed
                )
                spent = time.process_time() - started
                label = f"{PRIVATE}-{what}-{attacker}"
                findings.append(Finding(label, Learns.FEATURES.value, name, 0, score, spent))
    return findings
