"""A configuration, trained: what a run evaluates, and what an audit attacks."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from client_sdk.kernel.training import Task
from export.bundle import Bundle
from simulator.config.config import Config
from simulator.datasets import Attribute, Dataset
from simulator.datasets.split import leave_one_out
from simulator.engines.engine import RoundEngine
from simulator.errors import ConfigError, SimulatorError
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import assembly, checks, costs, resume
from simulator.experiment.resume import Best
from simulator.experiment.trainer import Progress, Trainer
from simulator.population.columns import ReadOnlyState
from simulator.population.population import Population
from simulator.reporting.tracking import Tracker
from simulator.unlearning.baselines import Apm, Noise


@dataclass(frozen=True, eq=False)
class Trained:
    """What training leaves.

    Attributes:
        config: what was trained.
        attributes: those to unlearn and to attack, by name.
        told: the same as far as the clients told them.
        bundle: the task.
        population: the clients, with the state of the last round.
        evaluation: ranks held-out items.
        best: the state that validation chose.
        rounds: a row per round.
        cost: what training took, see `costs.measure`.
    """

    config: Config
    attributes: Mapping[str, Attribute]
    told: Mapping[str, Attribute]
    bundle: Bundle
    population: Population
    evaluation: Evaluation
    best: Best
    rounds: pd.DataFrame
    cost: Mapping[str, Any]

    def chosen(self) -> tuple[Task, Population]:
        """The chosen checkpoint, and the clients with the private state that was chosen with it; to be read."""
        last = self.population.state  # Adam's moments do not affect what a step uploads
        state = ReadOnlyState(self.best.private, last.first, last.second, last.steps)
        task = Task.load(self.bundle.manifest, self.best.checkpoint)
        return task, dataclasses.replace(self.population, state=state)


Expect = Callable[[Bundle, Population], None]
"""Refuses what is not to be trained."""

Wrap = Callable[[RoundEngine, Bundle, Population], RoundEngine]
"""Makes of an engine one that does something more."""


def train(
    config: Config,
    folder: Path,
    data_dir: Path | None,
    progress: Progress,
    trackers: Sequence[Tracker] = (),
    expect: Expect | None = None,
    wrap: Wrap | None = None,
    audit: Path | None = None,
    again: Path | None = None,
) -> Trained:
    """Trains, or goes on where an interrupted run left the folder.

    Args:
        config: what to train.
        folder: of the run; made if it is not there.
        data_dir: where the data set is, see `datasets.load`.
        progress: told how far it is.
        trackers: open; told the rounds at every evaluation.
        expect: called before anything is trained or written.
        wrap: of the engine; a wrapped one does not go on, but starts again.
        audit: where a fleet's coordinator keeps every contribution; None: nowhere.
        again: folder of a run, on whose data this must be; None: of none.

    Raises:
        SimulatorError: the configuration or the data set cannot be used, or the disk is too small.
    """
    dataset = assembly.dataset_of(config, data_dir)
    checks.check(config, dataset)
    checks.expect_room(config, dataset, folder)
    _expect_own(config, folder, dataset, goes_on=wrap is None)
    if again is not None:
        resume.expect_same(again, dataset)
    attributes = assembly.attackable(config, dataset)
    told = assembly.told(config, attributes)
    split = leave_one_out(dataset, config.split)
    bundle = assembly.bundle_of(config, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    population = assembly.population_of(config, dataset, bundle, split.train, folder)
    if expect:
        _asked(expect, bundle, population, folder)
    evaluation = Evaluation(bundle.manifest, split)
    noise = Noise.of(config, bundle.manifest)
    apm = Apm(config, bundle.manifest, told, noise) if config.apm else None
    for tracker in trackers:
        tracker.begin(folder.name, config)
    resume.note(folder, config, dataset)
    with assembly.engine_of(config, bundle, population, folder, noise, audit) as engine:
        used = wrap(engine, bundle, population) if wrap else engine
        standing = Trainer(config, told, used, population, evaluation, folder, apm, trackers).train(progress)
        rounds = pd.DataFrame(standing.rows)
        cost = costs.measure(bundle, engine, rounds)
    return Trained(config, attributes, told, bundle, population, evaluation, standing.best, rounds, cost)


def _expect_own(config: Config, folder: Path, dataset: Dataset, *, goes_on: bool) -> None:
    """Checks that what a folder holds is this run's.

    Raises:
        ConfigError: it is another's, or would be overwritten.
    """
    if changed := resume.other_settings(folder, config):
        raise ConfigError(
            f"{folder} holds a run with another configuration ({'; '.join(changed)}): choose another folder, or remove "
            "it"
        )
    resume.expect_same(folder, dataset)
    if not goes_on and resume.unfinished(folder):
        raise ConfigError(f"{folder} holds an interrupted run, with which this cannot go on: choose another folder")


def _asked(expect: Expect, bundle: Bundle, population: Population, folder: Path) -> None:
    try:
        expect(bundle, population)
    except SimulatorError:
        if not resume.unfinished(folder):
            resume.discard(folder)
        raise
