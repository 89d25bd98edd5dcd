"""`fedau2-sim run`: trains and evaluates one configuration into a run folder (design section 10).

A run folder holds `config.yaml`, `dataset.json`, `metrics.json`, `rounds.parquet`, `ranks.parquet` (of each user's test
item), two plots and `report.html`. A batched run that was interrupted goes on when it is started again with the same
configuration.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from fedau2 import files
from simulator.attacks.leakage import leakage
from simulator.config.config import Config
from simulator.datasets import Attribute
from simulator.evaluation.attacked_states import AttackedStates, attribute_attacks
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import assembly, lock, resources, resume
from simulator.experiment.train import Trained, train
from simulator.experiment.trainer import Progress
from simulator.reporting import html, plots
from simulator.reporting.tracking import Tracker
from simulator.unlearning import baselines, erasure, moments


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
        SimulatorError: the configuration, the data set or the folder cannot be used, or the disk is too small.
    """
    with lock.hold(folder):
        return _run(config, folder, data_dir, progress, trackers)


def _run(
    config: Config, folder: Path, data_dir: Path | None, progress: Progress, trackers: Sequence[Tracker]
) -> dict[str, Any]:
    started = time.perf_counter()
    trained = train(config, folder, data_dir, progress, trackers)
    best, rounds, attributes, evaluation = trained.best, trained.rounds, trained.attributes, trained.evaluation
    progress.start("attacking", 1)
    leaks = _leakage(trained)  # of what trained, before anything is erased
    hidden = hide(trained)
    scorer = evaluation.scorer(best.checkpoint, best.private)
    ranks = evaluation.test_ranks(best.checkpoint, best.private)
    metrics = {
        **ranks.metrics(),
        **hidden,
        "round": best.round,
        **trained.cost,
        "configuration": config.to_dict(),
    }
    attacked = AttackedStates.of(scorer, best.private)
    how = {"seed": config.seed, "splits": config.attack_splits, "workers": config.workers}
    for prefix, name, attribute in assembly.prefixed(attributes):
        attacks = attribute_attacks(attacked, attribute, **how)
        metrics |= {f"{prefix}{key}": value for key, value in (attacks | leaks[name]).items()}
        metrics[f"{prefix}bacc_null_p95"] = attacks["bacc_null_p95_strong"]
        metrics[f"{prefix}trigger_rate"] = _trigger_rates(rounds, attribute, prefix)
        metrics[f"{prefix}unknown_clients"] = int((trained.told[name].labels < 0).sum())
    metrics |= {"seconds": time.perf_counter() - started, "peak_rss_mib": resources.peak_rss_mib()}
    progress.advance()
    ranks.frame().to_parquet(folder / "ranks.parquet")
    _write(folder, data_dir, metrics, rounds, attributes)
    for tracker in trackers:
        tracker.end(metrics)
    return metrics


def _leakage(trained: Trained) -> dict[str, dict[str, float]]:
    """What uploads of the chosen state tell of each attribute; nothing where an upload is not one step's gradient.

    Nor where clients add noise to it that is drawn for the sum of a round only.
    """
    config = trained.config
    if config.local_steps > 1 or baselines.on_contributions(config, trained.bundle.manifest):
        return {name: {} for name in trained.attributes}
    task, chosen = trained.chosen()
    return {name: leakage(task, chosen, name, config.rounds, config.seed) for name in trained.attributes}


def hide(trained: Trained) -> dict[str, float]:
    """Erases from the chosen state, or adds noise to it, where that is asked for."""
    config, best, evaluation = trained.config, trained.best, trained.evaluation
    if config.erasure != "none":
        return _erase(config, evaluation, trained.told, best)
    if config.noise:
        best.checkpoint, best.private = baselines.noised(
            evaluation.task, best.checkpoint, best.private, assembly.protected(config), config.noise, config.seed
        )
    return {}


def _erase(
    config: Config, evaluation: Evaluation, attributes: Mapping[str, Attribute], best: resume.Best
) -> dict[str, float]:
    """Erases the attributes together from the chosen state; from an encoder, where nothing is private."""
    how = (moments.joint(attributes.values()), config.erasure, config.seed)
    if best.private:
        best.private, strength = erasure.erase(best.private, *how)
    else:
        encoder = contract.encoder(RECOMMENDERS[config.model].model)
        assert encoder is not None  # asked for before training
        (latent,) = evaluation.scorer(best.checkpoint, best.private).embedding().values()
        best.checkpoint, strength = erasure.erase_latent(encoder, best.checkpoint, latent, *how)
    return {"erasure_strength": strength}


def _trigger_rates(rounds: pd.DataFrame, attribute: Attribute, prefix: str) -> dict[str, float]:
    columns = {name: f"{prefix}trigger_rate_{name}" for name in attribute.classes}
    return {name: float(np.nanmean(rounds[column])) for name, column in columns.items() if column in rounds}


def _write(
    folder: Path,
    data_dir: Path | None,
    metrics: dict[str, Any],
    rounds: pd.DataFrame,
    attributes: Mapping[str, Attribute],
) -> None:
    configuration, pictures = metrics["configuration"], plots.leakage_files(list(attributes))
    rounds.to_parquet(folder / "rounds.parquet")
    plots.plot_learning(rounds, metrics["round"], configuration["split"], folder / "learning.png")
    name = f"adversary: {configuration['adversary']}"
    for prefix, attribute_name, attribute in assembly.prefixed(attributes):
        own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        plots.plot_leakage({name: own}, attribute_name, 1 / len(attribute.classes), folder / pictures[attribute_name])
    html.write_run(folder, data_dir, metrics)
    files.write(folder / "metrics.json", f"{json.dumps(metrics, indent=2)}\n".encode())
    resume.discard(folder)
