"""`fedau2-sim run`: trains and evaluates one configuration into a run folder (design section 10).

A run folder holds `config.yaml`, `plan.yaml` (resolved), `items.txt` (the catalogue's ids), `dataset.json`,
`metrics.json`, `rounds.parquet`, `ranks.parquet` (of each user's test item), two plots, `report.html` and the chosen
model, `model-HASH.safetensors`. `fedau2-export bundle --from` makes a bundle of a run. A batched run that was
interrupted goes on when it is started again with the same configuration.
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
from export import kept_model
from export.bundle import ITEMS
from export.items import read_items
from export.plan.resolve import states
from fedau2 import files
from simulator.attacks.leakage import leakage
from simulator.config.config import Config
from simulator.datasets import Attribute
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import assembly, lock, resources, resume
from simulator.experiment.train import Trained, train
from simulator.experiment.trainer import Progress
from simulator.reporting import frames, html, plots
from simulator.reporting.tracking import Tracker
from simulator.unlearning import baselines, erasure, moments


def run(
    config: Config,
    folder: Path,
    data_dir: Path | None,
    progress: Progress,
    trackers: Sequence[Tracker] = (),
    *,
    keep: bool = True,
) -> dict[str, Any]:
    """Trains, evaluates, attacks, and writes the run folder.

    Args:
        config: what to run.
        folder: of the run; made if it is not there.
        data_dir: where the data set is, see `datasets.load`.
        progress: receives how far the run is.
        trackers: open; they receive the rounds at every evaluation, and the metrics.
        keep: True to keep the chosen model, which has no private tensors.

    Returns:
        The content of `metrics.json`.

    Raises:
        SimulatorError: the configuration, the data set or the folder cannot be used, or the disk is too small.
    """
    with lock.hold(folder):
        return _run(config, folder, data_dir, progress, trackers, keep)


def _run(
    config: Config, folder: Path, data_dir: Path | None, progress: Progress, trackers: Sequence[Tracker], keep: bool
) -> dict[str, Any]:
    started = time.perf_counter()
    trained = train(config, folder, data_dir, progress, trackers)
    best, rounds, attributes, evaluation = trained.best, trained.rounds, trained.attributes, trained.evaluation
    progress.start("attacking", 1)
    leaks = _leakage(trained)  # of what trained, before anything is erased
    changed = hide(trained)
    scorer = evaluation.scorer(best.checkpoint, best.private)
    ranks = trained.ranks()
    metrics = {
        **ranks.metrics(),
        **changed,
        "round": best.round,
        **trained.cost,
        "configuration": config.document(),
    }
    from simulator.evaluation.attacked_states import AttackedStates, attribute_attacks  # here: it takes a while to load

    attacked = AttackedStates.of(scorer, best.private)
    engine = config.engine
    how = {"seed": engine.seed, "splits": config.evaluation.attack_splits, "workers": engine.workers}
    for prefix, name, attribute in assembly.prefixed(attributes):
        attacks = attribute_attacks(attacked, attribute, **how)
        metrics |= {f"{prefix}{key}": value for key, value in (attacks | leaks[name]).items()}
        metrics[f"{prefix}bacc_null_p95"] = attacks["bacc_null_p95_strong"]
        metrics[f"{prefix}trigger_rate"] = _trigger_rates(rounds, attribute, prefix)
        metrics[f"{prefix}unknown_clients"] = int((trained.known[name].labels < 0).sum())
    metrics |= {"seconds": time.perf_counter() - started, "peak_rss_mib": resources.peak_rss_mib()}
    progress.advance()
    frames.write(ranks.frame(), folder / "ranks.parquet")
    if keep:
        kept_model.write(folder, best.checkpoint, read_items(folder / ITEMS))
    else:
        kept_model.remove(folder)
    _write(config, folder, data_dir, metrics, rounds, attributes, trained.remarks)
    for tracker in trackers:
        tracker.end(metrics)
    return metrics


def _leakage(trained: Trained) -> dict[str, dict[str, float]]:
    """Returns what uploads of the chosen state leak of each attribute.

    That is measured where an upload is the gradient of one step, and where no client adds noise to it that is drawn
    only for the sum of a round.
    """
    settings, task = trained.config.engine, trained.bundle.manifest
    if task.plan.local.steps > 1 or baselines.on_contributions(settings, task):
        return {name: {} for name in trained.attributes}
    start, chosen = trained.chosen()
    return {name: leakage(start, chosen, name, settings.rounds, settings.seed) for name in trained.attributes}


def hide(trained: Trained) -> dict[str, float]:
    """Erases from the chosen state, or adds noise to it, as the configuration says; returns metrics of it."""
    after, seed = trained.config.after_training, trained.config.engine.seed
    plan, best, evaluation = trained.config.plan, trained.best, trained.evaluation
    if after.erasure != "none":
        return _erase(after.erasure, seed, evaluation, trained.known, best)
    if after.noise:
        of_model = states(plan.model)
        adversaries = [plan.settings(entry) for entry in plan.adversaries or ()] or [plan.adversary]
        protected = tuple(dict.fromkeys(name for settings in adversaries for name in of_model.named(settings.protects)))
        best.checkpoint, best.private = baselines.noised(
            evaluation.task, best.checkpoint, best.private, protected, after.noise, seed
        )
    return {}


def _erase(
    kind: str, seed: int, evaluation: Evaluation, attributes: Mapping[str, Attribute], best: resume.Best
) -> dict[str, float]:
    """Erases the attributes together from the chosen state; from an encoder, where nothing is private."""
    how = (moments.joint(attributes.values()), kind, seed)
    if best.private:
        best.private, strength = erasure.erase(best.private, *how)
    else:
        encoder = contract.encoder(RECOMMENDERS[evaluation.task.model].model)
        assert encoder is not None  # checked before training
        (latent,) = evaluation.scorer(best.checkpoint, best.private).embedding().values()
        best.checkpoint, strength = erasure.erase_latent(encoder, best.checkpoint, latent, *how)
    return {"erasure_strength": strength}


def _trigger_rates(rounds: pd.DataFrame, attribute: Attribute, prefix: str) -> dict[str, float]:
    columns = {name: f"{prefix}trigger_rate_{name}" for name in attribute.classes}
    return {name: float(np.nanmean(rounds[column])) for name, column in columns.items() if column in rounds}


def _write(
    config: Config,
    folder: Path,
    data_dir: Path | None,
    metrics: dict[str, Any],
    rounds: pd.DataFrame,
    attributes: Mapping[str, Attribute],
    remarks: Sequence[str],
) -> None:
    pictures = plots.leakage_files(list(attributes))
    frames.write(rounds, folder / "rounds.parquet")
    plots.plot_learning(rounds, metrics["round"], config.evaluation.split, folder / "learning.png")
    label = f"adversary: {config.adversary}"
    for prefix, name, attribute in assembly.prefixed(attributes):
        figures = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        plots.plot_leakage({label: figures}, name, 1 / len(attribute.classes), folder / pictures[name])
    html.write_run(config, folder, data_dir, metrics, remarks)
    files.write(folder / "metrics.json", f"{json.dumps(metrics, indent=2)}\n".encode())
    resume.discard(folder)
