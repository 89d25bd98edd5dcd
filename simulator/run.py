"""`fedau2-sim run`: trains and evaluates one configuration into a run folder (design section 10).

A run folder holds `config.yaml`, `metrics.json`, `rounds.parquet` and two plots. A batched run that was interrupted
goes on when it is started again with the same configuration.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from client_sdk.kernel import fedvae
from simulator import costs, erasure, plots, process, resume, setup
from simulator.attackers import expect_enough
from simulator.config import Config
from simulator.datasets import Attribute, load
from simulator.engine import Engine, RoundReport
from simulator.errors import ConfigError
from simulator.evaluation import Evaluation, attribute_attacks
from simulator.population import Population
from simulator.resume import Standing
from simulator.split import leave_one_out


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
        attribute: the attribute to unlearn.
        engine: trains rounds.
        population: the clients.
        evaluation: ranks held-out items.
        folder: of the run.
    """

    config: Config
    attribute: Attribute
    engine: Engine
    population: Population
    evaluation: Evaluation
    folder: Path

    def train(self, progress: Progress) -> Standing:
        """All rounds, from where the run was left."""
        standing = resume.restore(self.folder, self.engine, self.population)
        best, rows = standing.best, standing.rows
        progress.start("training", self.config.rounds, len(rows))
        for number in range(len(rows), self.config.rounds):
            started = (time.perf_counter(), time.process_time())
            report = self.engine.train_round(setup.cohort(self.config, number, len(self.population)))
            elapsed = (time.perf_counter() - started[0], time.process_time() - started[1])
            rows.append(self._row(number, report, *elapsed))
            if (number + 1) % self.config.evaluate_every == 0 or number + 1 == self.config.rounds:
                rows[-1] |= self._evaluate(number + 1, best)
                resume.save(self.folder, self.engine, self.population, standing)
            progress.advance(f"best NDCG@10 {best.ndcg:.3f}" if best.round else "")
        return standing

    def _row(self, number: int, report: RoundReport, seconds: float, cpu: float) -> dict[str, Any]:
        row = {
            "round": number + 1,
            "clients": len(report.members),
            "loss": float(report.report.loss.mean()),
            "seconds": seconds,
            "cpu_seconds": cpu,
        }
        rates = [
            report.trigger_rate(adversary, self.attribute.labels, self.attribute.classes)
            for adversary in report.report.triggered
        ]
        for name in rates[0] if rates else ():
            row[f"trigger_rate_{name}"] = float(np.mean([each[name] for each in rates]))
        return row

    def _evaluate(self, trained: int, best: resume.Best) -> dict[str, float]:
        private = self.population.state.values
        metrics = self.evaluation.validation(self.engine.checkpoint, private)
        best.offer(trained, metrics["ndcg@10"], self.engine.checkpoint, private)
        return metrics


def run(config: Config, folder: Path, data_dir: Path | None, progress: Progress) -> dict[str, Any]:
    """Trains, evaluates, attacks, and writes the run folder.

    Args:
        config: what to run.
        folder: of the run; made if it is not there.
        data_dir: where the data set is, see `datasets.load`.
        progress: told how far it is.

    Returns:
        What `metrics.json` holds.

    Raises:
        SimulatorError: the configuration or the data set cannot be used, or the disk is too small.
    """
    started = time.perf_counter()
    dataset = load(
        config.dataset,
        data_dir,
        users=config.users,
        items=config.items,
        dependence=config.dependence,
        seed=config.seed,
        user_core=config.user_core,
        item_core=config.item_core,
        balance=config.attribute if config.balance else None,
    )
    attribute = setup.attribute_of(dataset, config.attribute)
    expect_enough(attribute.labels, len(attribute.classes))
    split = leave_one_out(dataset, config.split)
    _prepare(folder, config)
    resume.expect_same(folder, dataset)
    bundle = setup.bundle_of(config, dataset)
    if config.erasure != "none":
        erasure.expect_erasable(bundle.manifest, int((attribute.labels >= 0).sum()))
    population = setup.population_of(config, dataset, bundle, split.train, folder)
    evaluation = Evaluation(bundle.manifest, split)
    with setup.engine_of(config, bundle, population, folder) as engine:
        trainer = Trainer(config, attribute, engine, population, evaluation, folder)
        standing = trainer.train(progress)
        best, rounds = standing.best, pd.DataFrame(standing.rows)
        cost = costs.measure(bundle, population, engine, rounds)
    progress.start("attacking", 1)
    erased = _erase(config, evaluation, attribute, best) if config.erasure != "none" else {}
    scorer = evaluation.scorer(best.checkpoint, best.private)
    metrics = {
        **evaluation.test(best.checkpoint, best.private),
        **attribute_attacks(bundle.manifest, scorer, best.private, attribute, config.seed, config.attack_splits),
        **erased,
        "round": best.round,
        "trigger_rate": _trigger_rates(rounds, attribute),
        **cost,
        "seconds": time.perf_counter() - started,
        "peak_rss_mib": process.peak_rss_mib(),
        "configuration": config.to_dict(),
    }
    metrics["bacc_null_p95"] = metrics["bacc_null_p95_strong"]
    progress.advance()
    _write(folder, metrics, rounds, attribute)
    return metrics


def _erase(config: Config, evaluation: Evaluation, attribute: Attribute, best: resume.Best) -> dict[str, float]:
    """Erases the attribute from the chosen state; from the latent, where nothing is private."""
    how = (attribute.labels, len(attribute.classes), config.erasure_strength, config.seed)
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


def _trigger_rates(rounds: pd.DataFrame, attribute: Attribute) -> dict[str, float]:
    columns = {name: f"trigger_rate_{name}" for name in attribute.classes}
    return {name: float(np.nanmean(rounds[column])) for name, column in columns.items() if column in rounds}


def _write(folder: Path, metrics: dict[str, Any], rounds: pd.DataFrame, attribute: Attribute) -> None:
    rounds.to_parquet(folder / "rounds.parquet")
    plots.plot_learning(rounds, metrics["round"], folder / "learning.png")
    name = f"adversary: {metrics['configuration']['adversary']}"
    plots.plot_leakage({name: metrics}, 1 / len(attribute.classes), folder / "leakage.png")
    fresh = folder / "metrics.json.new"
    fresh.write_text(json.dumps(metrics, indent=2) + "\n")
    fresh.replace(folder / "metrics.json")
    resume.discard(folder)
