"""`fedau2-sim run`: trains and evaluates one configuration into a run folder (design section 10).

A run folder holds `config.yaml`, `metrics.json`, `rounds.parquet`, `ranks.parquet` (of each user's test item), two
plots and `report.html`. A batched run that was interrupted goes on when it is started again with the same
configuration.
"""

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from client_sdk.kernel import fedvae
from client_sdk.kernel.training import Task
from export.bundle import Bundle
from simulator import baselines, costs, erasure, plots, process, report, resume, setup
from simulator.attackers import expect_enough
from simulator.baselines import Apm, Noise
from simulator.columns import Kept
from simulator.config import Config
from simulator.datasets import Attribute
from simulator.engine import Engine, RoundReport
from simulator.errors import ConfigError
from simulator.evaluation import Evaluation, attribute_attacks
from simulator.gradient_attacks import leakage
from simulator.population import Population
from simulator.resume import Standing
from simulator.split import leave_one_out
from simulator.tracking import Tracker


class Progress(Protocol):
    """Told how far a run is."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """A phase of `total` parts begins, of which some are done already."""

    def advance(self, text: str = "") -> None:
        """One part is done; text says how it stands."""


@dataclass(frozen=True, eq=False)
class Trainer:
    """What one run trains and looks at.

    Attributes:
        config: the configuration.
        attributes: those to unlearn, by name, as the clients told them.
        engine: trains rounds.
        population: the clients.
        evaluation: ranks held-out items.
        folder: of the run.
        apm: adapts the clients' noise, if that is asked for.
        trackers: are told what is trained.
    """

    config: Config
    attributes: Mapping[str, Attribute]
    engine: Engine
    population: Population
    evaluation: Evaluation
    folder: Path
    apm: Apm | None = None
    trackers: Sequence[Tracker] = ()

    def train(self, progress: Progress) -> Standing:
        """All rounds, from where the run was left."""
        standing = resume.restore(self.folder, self.engine, self.population)
        best, rows = standing.best, standing.rows
        progress.start("training", self.config.rounds, len(rows))
        self._adapt()
        for number in range(len(rows), self.config.rounds):
            started = (time.perf_counter(), time.process_time())
            trained = self.engine.train_round(setup.cohort(self.config, number, len(self.population)))
            elapsed = (time.perf_counter() - started[0], time.process_time() - started[1])
            rows.append(self._row(number, trained, *elapsed))
            if (number + 1) % self.config.evaluate_every == 0 or number + 1 == self.config.rounds:
                rows[-1] |= self._evaluate(number + 1, best) | self._adapt()
                resume.save(self.folder, self.engine, self.population, standing)
                for tracker in self.trackers:
                    tracker.rounds(rows)
            progress.advance(f"best NDCG@10 {best.ndcg:.3f}" if best.round else "")
        return standing

    def _row(self, number: int, trained: RoundReport, seconds: float, cpu: float) -> dict[str, Any]:
        row = {
            "round": number + 1,
            "clients": len(trained.members),
            "loss": float(trained.report.loss.mean()),
            "seconds": seconds,
            "cpu_seconds": cpu,
        }
        for prefix, name, attribute in _prefixed(self.attributes):
            rates = [
                trained.trigger_rate(adversary.name, attribute.labels, attribute.classes)
                for adversary in self.evaluation.task.plan.adversaries
                if adversary.attribute == name
            ]
            for value in rates[0] if rates else ():
                row[f"{prefix}trigger_rate_{value}"] = float(np.mean([each[value] for each in rates]))
        return row

    def _evaluate(self, trained: int, best: resume.Best) -> dict[str, float]:
        private = self.population.state.values
        metrics = self.evaluation.validation(self.engine.checkpoint, private)
        best.offer(trained, metrics["ndcg@10"], self.engine.checkpoint, private)
        return metrics

    def _adapt(self) -> dict[str, float]:
        # A run that goes on adapts to the state that it finds, which is the one that it adapted to when it was saved.
        if self.apm is None:
            return {}
        states = self.population.state.values
        if not states:
            states = {fedvae.LATENT: self.evaluation.scorer(self.engine.checkpoint, {}).states(fedvae.LATENT)}
        return {f"vulnerability_{name}": value for name, value in self.apm.adapt(states).items()}


def run(
    config: Config, folder: Path, data_dir: Path | None, progress: Progress, trackers: Sequence[Tracker] = ()
) -> dict[str, Any]:
    """Trains, evaluates, attacks, and writes the run folder.

    Args:
        config: what to run.
        folder: of the run; made if it is not there.
        data_dir: where the data set is, see `datasets.load`.
        progress: told how far it is.
        trackers: open; told the rounds at every evaluation, and the metrics.

    Returns:
        What `metrics.json` holds.

    Raises:
        SimulatorError: the configuration or the data set cannot be used, or the disk is too small.
    """
    started = time.perf_counter()
    dataset = setup.dataset_of(config, data_dir)
    attributes = setup.attributes_of(config, dataset)
    for attribute in attributes.values():
        expect_enough(attribute.labels, len(attribute.classes))
    told = setup.told(config, attributes)
    split = leave_one_out(dataset, config.split)
    _prepare(folder, config)
    resume.expect_same(folder, dataset)
    bundle = setup.bundle_of(config, dataset)
    if config.erasure != "none":
        erasure.expect_erasable(bundle.manifest, erasure.joint(told.values()))
    population = setup.population_of(config, dataset, bundle, split.train, folder)
    evaluation = Evaluation(bundle.manifest, split)
    noise = Noise.of(config, bundle.manifest)
    apm = Apm(config, bundle.manifest, told, noise) if config.apm else None
    for tracker in trackers:
        tracker.begin(folder.name, config)
    with setup.engine_of(config, bundle, population, folder, noise) as engine:
        trainer = Trainer(config, told, engine, population, evaluation, folder, apm, trackers)
        standing = trainer.train(progress)
        best, rounds = standing.best, pd.DataFrame(standing.rows)
        cost = costs.measure(bundle, population, engine, rounds)
    progress.start("attacking", 1)
    leaks = _leakage(config, bundle, population, best, attributes)  # of what trained, before anything is erased
    erased = _erase(config, evaluation, told, best) if config.erasure != "none" else {}
    if config.noise:
        best.checkpoint, best.private = baselines.noised(
            bundle.manifest, best.checkpoint, best.private, setup.protected(config), config.noise, config.seed
        )
    scorer = evaluation.scorer(best.checkpoint, best.private)
    ranks = evaluation.test_ranks(best.checkpoint, best.private)
    metrics = {
        **ranks.metrics(),
        **erased,
        "round": best.round,
        **cost,
        "configuration": config.to_dict(),
    }
    how = {"seed": config.seed, "splits": config.attack_splits, "workers": config.workers}
    for prefix, name, attribute in _prefixed(attributes):
        attacks = attribute_attacks(bundle.manifest, scorer, best.private, attribute, **how)
        metrics |= {f"{prefix}{key}": value for key, value in (attacks | leaks[name]).items()}
        metrics[f"{prefix}bacc_null_p95"] = attacks["bacc_null_p95_strong"]
        metrics[f"{prefix}trigger_rate"] = _trigger_rates(rounds, attribute, prefix)
        metrics[f"{prefix}unknown_clients"] = int((told[name].labels < 0).sum())
    metrics |= {"seconds": time.perf_counter() - started, "peak_rss_mib": process.peak_rss_mib()}
    progress.advance()
    ranks.frame().to_parquet(folder / "ranks.parquet")
    _write(folder, metrics, rounds, attributes)
    for tracker in trackers:
        tracker.end(metrics)
    return metrics


def _prefixed(attributes: Mapping[str, Attribute]) -> Iterator[tuple[str, str, Attribute]]:
    """Each attribute after what the names of its figures begin with: nothing for the first."""
    for number, (name, attribute) in enumerate(attributes.items()):
        yield f"{name}/" if number else "", name, attribute


def _leakage(
    config: Config, bundle: Bundle, population: Population, best: resume.Best, attributes: Iterable[str]
) -> dict[str, dict[str, float]]:
    """What uploads of the chosen state tell of each attribute; nothing where an upload is not one step's gradient."""
    if config.local_steps > 1:
        return {name: {} for name in attributes}
    task = Task.load(bundle.manifest, best.checkpoint)
    there = population.state  # Adam's moments say nothing of what a step uploads
    chosen = dataclasses.replace(population, state=Kept(best.private, there.first, there.second, there.steps))
    return {name: leakage(task, chosen, name, config.rounds, config.seed) for name in attributes}


def _erase(
    config: Config, evaluation: Evaluation, attributes: Mapping[str, Attribute], best: resume.Best
) -> dict[str, float]:
    """Erases the attributes together from the chosen state; from the latent, where nothing is private."""
    how = (erasure.joint(attributes.values()), config.erasure_strength, config.seed)
    if best.private:
        best.private, strength = erasure.erase(best.private, *how)
    else:
        latent = evaluation.scorer(best.checkpoint, best.private).states(fedvae.LATENT)
        best.checkpoint, strength = erasure.erase_latent(best.checkpoint, latent, *how)
    return {"erasure_strength": strength}


def _prepare(folder: Path, config: Config) -> None:
    path = folder / "config.yaml"
    if path.exists() and Config.load(path) != config:
        raise ConfigError(f"{folder} holds a run with another configuration: choose another folder, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.save(path)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error}") from error


def _trigger_rates(rounds: pd.DataFrame, attribute: Attribute, prefix: str) -> dict[str, float]:
    columns = {name: f"{prefix}trigger_rate_{name}" for name in attribute.classes}
    return {name: float(np.nanmean(rounds[column])) for name, column in columns.items() if column in rounds}


def _write(folder: Path, metrics: dict[str, Any], rounds: pd.DataFrame, attributes: Mapping[str, Attribute]) -> None:
    rounds.to_parquet(folder / "rounds.parquet")
    plots.plot_learning(rounds, metrics["round"], folder / "learning.png")
    name = f"adversary: {metrics['configuration']['adversary']}"
    for prefix, attribute_name, attribute in _prefixed(attributes):
        own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        path = folder / (f"leakage-{attribute_name}.png" if prefix else "leakage.png")
        plots.plot_leakage({name: own}, 1 / len(attribute.classes), path)
    report.write_run(folder, metrics)
    fresh = folder / "metrics.json.new"
    fresh.write_text(json.dumps(metrics, indent=2) + "\n")
    fresh.replace(folder / "metrics.json")
    resume.discard(folder)
