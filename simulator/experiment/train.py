"""Trains a configuration: a run evaluates the result, and an audit attacks it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from client_sdk.kernel.training import Task
from export.bundle import Bundle
from simulator import gpu
from simulator.config.config import Config
from simulator.datasets import Attribute, Dataset
from simulator.engines.engine import RoundEngine
from simulator.errors import ConfigError, SimulatorError
from simulator.evaluation.held_out import Evaluation
from simulator.evaluation.personal import PersonalDevices
from simulator.evaluation.ranking import Ranks
from simulator.experiment import after_training, assembly, checks, costs, hiding, provenance, resume, run_data
from simulator.experiment.after_training import Measured
from simulator.experiment.parts import Parts
from simulator.experiment.resume import Best
from simulator.experiment.trainer import Progress, Trainer
from simulator.population.columns import ReadOnlyState
from simulator.population.population import Population
from simulator.reporting.trackers.contract import Tracker
from simulator.unlearning.baselines import Apm, Noise


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training.

    Attributes:
        config: the configuration.
        attributes: those to unlearn and to attack, by name.
        known: the same without the labels of clients whose attributes are unknown.
        bundle: the task.
        population: the clients, with the state of the last round.
        evaluation: ranks held-out items.
        best: the state that validation chose, as training left it.
        rounds: a row per round.
        cost: costs of training, see `costs.measure`.
        remarks: sentences about how the data set was read.
    """

    config: Config
    attributes: Mapping[str, Attribute]
    known: Mapping[str, Attribute]
    bundle: Bundle
    population: Population
    evaluation: Evaluation
    best: Best
    rounds: pd.DataFrame
    cost: Mapping[str, Any]
    remarks: Sequence[str]

    @cached_property
    def measured(self) -> Measured:
        """The chosen state, changed as the configuration says."""
        return after_training.changed(self.config, self.known, self.evaluation, self.best)

    def ranks(self) -> Ranks:
        """Returns the ranks of the test items by the measured state."""
        state = self.measured
        return self.best.ranks or self.evaluation.test_ranks(state.checkpoint, state.private, addends=state.addends)

    def chosen(self) -> tuple[Task, Population]:
        """Returns the chosen checkpoint, and the clients with the private state that was chosen with it, to be read."""
        last = self.population.state  # an upload does not depend on Adam's moments
        chosen = ReadOnlyState(self.best.private, last.first, last.second, last.steps)
        task = Task.load(self.bundle.manifest, self.best.checkpoint)
        return task, dataclasses.replace(self.population, state=chosen)


Expect = Callable[[Bundle, Population], None]
"""Raises an error for a task that is not to be trained."""

Wrap = Callable[[RoundEngine, Bundle, Population], RoundEngine]
"""Wraps an engine in one that also does something else."""


def train(
    config: Config,
    folder: Path,
    data: Path | Dataset | None,
    progress: Progress,
    trackers: Sequence[Tracker] = (),
    expect: Expect | None = None,
    wrap: Wrap | None = None,
    audit: Path | None = None,
    again: Path | None = None,
) -> Trained:
    """Trains, or goes on where an interrupted run left the folder.

    Args:
        config: the configuration.
        folder: of the run; made if it is not there.
        data: where the data set is, see `datasets.load`, or the data set itself.
        progress: receives how far training is.
        trackers: open; they receive the rounds at every evaluation.
        expect: called before anything is trained or written.
        wrap: of the engine; a wrapped one does not go on, but starts again.
        audit: where a fleet's coordinator keeps every contribution; None: nowhere.
        again: an earlier run whose data set must match; None: no check.

    Raises:
        SimulatorError: the configuration or the data set cannot be used, or the disk is too small.
    """
    engine_settings = config.engine
    dataset = run_data.dataset_of(config.data, engine_settings.seed, data)
    dataset = run_data.with_positives(dataset, config.plan, config.evaluation.split)
    checks.check(config, dataset)
    checks.expect_room(config.plan.model, dataset, folder)
    expect_own(config, folder, dataset, goes_on=wrap is None)
    if again is not None:
        resume.expect_same(again, dataset)
    parts = Parts.of(config, dataset)
    known, plan, split = parts.known, parts.plan, parts.split
    folder.mkdir(parents=True, exist_ok=True)
    bundle = hiding.hidden(engine_settings, parts, folder, progress)
    population = assembly.population_of(
        bundle,
        engine_settings.seed,
        split.train,
        known,
        folder,
        split.weights,
        lazily=config.evaluation.evaluate_users > 0,
    )
    if expect:
        _expected(expect, bundle, population, folder)
    steps, most = config.evaluation.personal_steps, config.evaluation.evaluate_users
    devices = PersonalDevices(population, steps) if steps else None
    cutoff, device = max(config.evaluation.k), gpu.device(engine_settings.device)
    evaluation = Evaluation(bundle.manifest, split, devices, most, cutoff, device)
    noise = Noise.of(engine_settings, plan, bundle.manifest)
    apm = Apm(engine_settings, plan, bundle.manifest, known, noise) if engine_settings.apm else None
    _begin(trackers, folder.name, config, dataset)
    resume.note(folder, config, plan, dataset)
    every = config.evaluation.evaluate_every
    renewal = after_training.renewal_of(config, known) if population.state.values else None
    with assembly.engine_of(engine_settings, bundle, population, folder, noise, audit, renewal) as engine:
        used = wrap(engine, bundle, population) if wrap else engine
        trainer = Trainer(engine_settings, every, known, used, population, evaluation, apm, trackers)
        standing = resume.restore(folder, used, population)
        trainer.train(standing, partial(resume.save, folder, config.document(), used, population), progress)
        rounds = pd.DataFrame(standing.rows)
        cost = costs.measure(bundle, engine, rounds)
    return Trained(
        config, parts.attributes, known, bundle, population, evaluation, standing.best, rounds, cost, dataset.remarks()
    )


def expect_own(config: Config, folder: Path, dataset: Dataset, *, goes_on: bool) -> None:
    """Checks that a folder is empty or holds this run.

    Raises:
        ConfigError: it holds another run, or one that would be overwritten.
    """
    if changed := resume.other_settings(folder, config):
        raise ConfigError(
            f"{folder} holds a run with another configuration ({'; '.join(changed)}): choose another folder, or remove "
            "it"
        )
    resume.expect_same(folder, dataset)
    if not goes_on and resume.unfinished(folder):
        raise ConfigError(f"{folder} holds an interrupted run, with which this cannot go on: choose another folder")


def _begin(trackers: Sequence[Tracker], name: str, config: Config, dataset: Dataset) -> None:
    facts = provenance.facts(dataset) if trackers else {}
    for tracker in trackers:
        tracker.begin(name, config, facts)


def _expected(expect: Expect, bundle: Bundle, population: Population, folder: Path) -> None:
    try:
        expect(bundle, population)
    except SimulatorError:
        if not resume.unfinished(folder):
            resume.discard(folder)
        raise
