"""An audit: it trains a configuration, watches some of its clients, and runs the attacks of a request."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from client_sdk.kernel.training import Task
from export.bundle import Bundle
from fedau2.v1.task_pb2 import Plan, TaskManifest
from simulator.attacks import sums
from simulator.attacks.aims import Learns
from simulator.audit import planning, private_state, regressed_sums, row_sums, scores
from simulator.audit.census import Facts
from simulator.audit.planning import Planned
from simulator.audit.recording import Recorded
from simulator.audit.request import Request
from simulator.audit.runner import Finding, Runner
from simulator.audit.view import Watch, Watching, known, still
from simulator.engines.engine import RoundEngine
from simulator.engines.fleet import FleetEngine
from simulator.evaluation.attacked_users import balanced
from simulator.experiment import assembly, kept_state, resume
from simulator.experiment.attack_progress import Splits
from simulator.experiment.finished import Finished, restore
from simulator.experiment.train import Trained, expect_own, train
from simulator.experiment.trainer import Progress
from simulator.population.population import Members, Population


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        request: the request.
        plan: the task's plan.
        findings: rows of the table.
        ndcg: test NDCG@10 of the chosen state, after erasure or noise.
        round: rounds trained in the chosen state.
        bytes_up: mean size of a contribution.
        seconds: wall-clock time, training included.
        facts: further facts.
        not_run: attacks that were left out or found nothing, with the reason.
        remarks: sentences about how the data set was read.
        on_sums: sentences about attacks on sums.
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
    remarks: Sequence[str] = ()
    on_sums: Sequence[str] = ()

    @property
    def unmeasured(self) -> list[Planned]:
        """The attacks without which no bound on them holds."""
        return [planned for planned in self.not_run if planned.expected]


def audit(request: Request, progress: Progress) -> Audit:
    """Trains and attacks.

    Raises:
        SimulatorError: the configuration or the data set cannot be used.
        MissingAttackError: nobody has written the attacks on the recommender; before training.
        ConfigError: the request cannot be carried out, or a bound would hold unmeasured; before training where that can
            be known.
        TooFewUsersError: there are too few users for attackers that learn.
    """
    started = time.perf_counter()
    watching = _Watching(request)
    recording = request.recording if request.view == "fleet" else None
    wrap = None if request.view == "chosen" else watching.wrap
    trained = _kept(request, watching, progress)
    if trained is None:
        where = (request.trained, request.folder, request.data_dir)
        trained = train(*where, progress, expect=watching.expect, wrap=wrap, audit=recording, again=request.again)
    task, chosen = trained.chosen()
    runner = watching.runner_on(task, chosen)
    progress.start("attacking", runner.parts + private_state.parts(request, trained) + 1)
    counted = Splits(progress.advance)
    findings = runner.findings(counted)
    counted.begin("sums", 1)
    on_sums, sums_seconds = _timed(lambda: [*_on_sums(request, task, chosen), *_regressed(request, task, chosen)])
    of_rows = list(row_sums.attack(request, task, chosen))
    counted.end()
    row_findings, sentences = [finding for finding, _ in of_rows], [sentence for _, sentence in of_rows]
    on_private, private_seconds = _timed(lambda: private_state.attack(request, trained, counted))
    findings += on_sums + row_findings + on_private
    ranks = trained.ranks()
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
        trained.remarks,
        [*sentences, *row_sums.law(request, len(chosen))],
    )


def _kept(request: Request, watching: "_Watching", progress: Progress) -> Trained | None:
    """Returns the run that is to be audited, if it kept the state that training it again would bring; else None.

    Contributions of several local steps depend on Adam's moments, which are not kept.
    """
    folder, config = request.again, request.config
    if folder is None or request.view != "chosen" or config.differences(request.trained.document()):
        return None
    if config.plan.local.steps > 1 or not kept_state.about(folder):
        return None
    run = Finished.open(folder)
    dataset = run.dataset(request.data_dir)
    expect_own(config, request.folder, dataset, goes_on=False)
    trained = restore(run, dataset, progress)
    watching.expect(trained.bundle, trained.population)
    resume.note(request.folder, config, assembly.plan_of(config.plan, trained.known), dataset)
    return trained


def _timed(attack: Callable[[], list[Finding]]) -> tuple[list[Finding], float]:
    """The findings of an attack, and its processor time in seconds."""
    began = time.process_time()
    return attack(), time.process_time() - began


class _Watching:
    """Takes the request's view: during training, or afterwards."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._runner: Runner | None = None
        self.planned: Sequence[Planned] = ()

    def expect(self, bundle: Bundle, population: Population) -> None:
        """Plans the attacks.

        Raises:
            MissingAttackError, ConfigError, TooFewUsersError: see `planning.plan`.
        """
        members, others = drawn(self._request, bundle.manifest, population)
        self.planned = planning.plan(self._request, bundle.manifest, population, members, others)

    def wrap(self, engine: RoundEngine, bundle: Bundle, population: Population) -> RoundEngine:
        """The engine, watched."""
        task = Task.load(bundle.manifest, engine.checkpoint)
        watch, self._runner = _watch(self._request, task, population)
        if isinstance(engine, FleetEngine):
            return Recorded(engine, bundle.manifest, watch, self._runner, self._request.recording)
        return Watching(engine, bundle.manifest, watch, self._runner)

    def runner_on(self, task: Task, chosen: Population) -> Runner:
        """The attacks, after they have seen all rounds."""
        if self._runner is None:
            watch, self._runner = _watch(self._request, task, chosen)
            first = self._request.config.engine.rounds
            still(watch, task, range(first, first + self._runner.rounds), self._runner)
        return self._runner


def drawn(request: Request, task: TaskManifest, population: Population) -> tuple[Members, Members]:
    """Draws the watched clients, equally many of each class of the first attribute, and others with known attributes.

    A quarter of each class, rounded up, is not watched, so that attackers may know of them.
    """
    everyone = np.arange(len(population))
    labels = population.labels(task, everyone)
    if labels:
        known = np.all([column >= 0 for column in labels.values()], axis=0)
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
    public = known(task, population, others, 0) if any(spec.public for spec in request.specs) else {}
    watch = Watch(population, members, others, public)
    runner = Runner(
        request.specs,
        manifest,
        population.recorded(manifest, members),
        request.participations,
        watch.public,
        request.config.engine.seed,
        request.splits,
    )
    return watch, runner


def _on_sums(request: Request, task: Task, population: Population) -> list[Finding]:
    """Attacks on secure aggregation, on every adversary."""
    findings, seed = [], request.config.engine.seed
    cohort = assembly.cohort_size(request.config.engine, len(population))
    for adversary in task.manifest.plan.adversaries if task.manifest.plan.local.steps == 1 else ():
        members = sums.knowing(population, task, adversary)
        truth = population.labels(task.manifest, members)[adversary.name]
        for how in request.sums:
            started = time.process_time()
            noise = sums.noise_on(task.manifest, adversary)
            for rounds, guess in sums.attack(
                task, adversary, population, how, cohort, request.sums_rounds, seed, noise
            ):
                score = scores.score(Learns.LABEL, guess, truth, len(adversary.classes), seed)
                taken, spent = round(rounds * cohort / len(members)), time.process_time() - started
                findings.append(Finding(how.name, Learns.LABEL.value, adversary.name, taken, score, spent))
    return findings


def _regressed(request: Request, task: Task, population: Population) -> list[Finding]:
    clients, _ = drawn(request, task.manifest, population)
    return list(regressed_sums.attack(request, task, population, clients))
