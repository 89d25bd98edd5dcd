"""`fedau2-sim run`: trains and evaluates one configuration into a run folder (design section 10).

A run folder holds `config.yaml`, `metrics.json`, `rounds.parquet`, `ranks.parquet` (of each user's test item), two
plots and `report.html`. A batched run that was interrupted goes on when it is started again with the same
configuration.
"""

import dataclasses
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from client_sdk.kernel import fedvae
from client_sdk.kernel.training import Task
from export.bundle import Bundle
from simulator import baselines, costs, erasure, moments, plots, process, report, resume, setup
from simulator.baselines import Apm, Noise
from simulator.columns import Kept
from simulator.config import Config
from simulator.datasets import Attribute
from simulator.errors import ConfigError
from simulator.evaluation import Attacked, Evaluation, attribute_attacks
from simulator.gradient_attacks import leakage
from simulator.population import Population
from simulator.split import leave_one_out
from simulator.tracking import Tracker
from simulator.training import Progress, Trainer


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
    attributes = setup.attackable(config, dataset)
    told = setup.told(config, attributes)
    split = leave_one_out(dataset, config.split)
    _prepare(folder, config)
    resume.expect_same(folder, dataset)
    bundle = setup.bundle_of(config, dataset)
    if config.erasure != "none":
        erasure.expect_erasable(bundle.manifest, moments.joint(told.values()), config.erasure)
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
    hidden = _hide(config, evaluation, told, best)
    scorer = evaluation.scorer(best.checkpoint, best.private)
    ranks = evaluation.test_ranks(best.checkpoint, best.private)
    metrics = {
        **ranks.metrics(),
        **hidden,
        "round": best.round,
        **cost,
        "configuration": config.to_dict(),
    }
    attacked = Attacked.of(bundle.manifest, scorer, best.private)
    how = {"seed": config.seed, "splits": config.attack_splits, "workers": config.workers}
    for prefix, name, attribute in setup.prefixed(attributes):
        attacks = attribute_attacks(attacked, attribute, **how)
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


def _hide(
    config: Config, evaluation: Evaluation, attributes: Mapping[str, Attribute], best: resume.Best
) -> dict[str, float]:
    """Erases from the chosen state, or adds noise to it, where that is asked for."""
    if config.erasure != "none":
        return _erase(config, evaluation, attributes, best)
    if config.noise:
        best.checkpoint, best.private = baselines.noised(
            evaluation.task, best.checkpoint, best.private, setup.protected(config), config.noise, config.seed
        )
    return {}


def _erase(
    config: Config, evaluation: Evaluation, attributes: Mapping[str, Attribute], best: resume.Best
) -> dict[str, float]:
    """Erases the attributes together from the chosen state; from the latent, where nothing is private."""
    how = (moments.joint(attributes.values()), config.erasure, config.seed)
    if best.private:
        best.private, strength = erasure.erase(best.private, *how)
    else:
        latent = evaluation.scorer(best.checkpoint, best.private).states(fedvae.LATENT)
        best.checkpoint, strength = erasure.erase_latent(best.checkpoint, latent, *how)
    return {"erasure_strength": strength}


def _prepare(folder: Path, config: Config) -> None:
    if resume.is_other(folder, config):
        raise ConfigError(f"{folder} holds a run with another configuration: choose another folder, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.save(folder / resume.CONFIG)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error}") from error


def _trigger_rates(rounds: pd.DataFrame, attribute: Attribute, prefix: str) -> dict[str, float]:
    columns = {name: f"{prefix}trigger_rate_{name}" for name in attribute.classes}
    return {name: float(np.nanmean(rounds[column])) for name, column in columns.items() if column in rounds}


def _write(folder: Path, metrics: dict[str, Any], rounds: pd.DataFrame, attributes: Mapping[str, Attribute]) -> None:
    rounds.to_parquet(folder / "rounds.parquet")
    plots.plot_learning(rounds, metrics["round"], folder / "learning.png")
    name = f"adversary: {metrics['configuration']['adversary']}"
    for prefix, attribute_name, attribute in setup.prefixed(attributes):
        own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        path = folder / (f"leakage-{attribute_name}.png" if prefix else "leakage.png")
        plots.plot_leakage({name: own}, 1 / len(attribute.classes), path)
    report.write_run(folder, metrics)
    fresh = folder / "metrics.json.new"
    fresh.write_text(json.dumps(metrics, indent=2) + "\n")
    fresh.replace(folder / "metrics.json")
    resume.discard(folder)
