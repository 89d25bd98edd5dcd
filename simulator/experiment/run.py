"""`fedau2-sim run`: trains and evaluates one configuration into a run folder (design section 10).

A run folder holds `config.yaml`, `plan.yaml` (resolved), `items.txt` (the catalogue's ids), `dataset.json`,
`metrics.json`, `rounds.parquet`, `ranks.parquet` (of each user's test item, with the user's groups), plots as PNG, SVG
and PDF, `report.html` and what the run keeps of the trained tensors, see `Keep`. `fedau2-export bundle --from` makes a
bundle of a run. A batched run that was interrupted goes on when it is started again with the same configuration.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from export import kept_model
from export.bundle import ITEMS
from export.items import read_items
from fedau2 import files
from simulator.config.config import Config
from simulator.datasets import Attribute, Dataset
from simulator.evaluation import sampling
from simulator.evaluation.by_group import compare, intervals, names_of
from simulator.evaluation.quality import Quality
from simulator.evaluation.ranking import Ranks
from simulator.experiment import assembly, kept_state, lock, outcome, own_metrics, promise, resume
from simulator.experiment.asked import Asked, Kind
from simulator.experiment.train import Trained, train
from simulator.experiment.trainer import Progress
from simulator.reporting import frames, groups
from simulator.reporting.trackers.contract import Tracker

Keep = Literal["none", "model", "state"]
"""The tensors that a run keeps: none, the shared ones of its model, or also the private ones of every user."""


def run(
    config: Config,
    folder: Path,
    data: Path | Dataset | None,
    progress: Progress,
    trackers: Sequence[Tracker] = (),
    *,
    keep: Keep = "model",
    attacks: Kind = "full",
) -> dict[str, Any]:
    """Trains, evaluates, attacks, and writes the run folder.

    Args:
        config: what to run.
        folder: of the run; made if it is not there.
        data: where the data set is, see `datasets.load`, or the data set itself.
        progress: receives how far the run is.
        trackers: open; they receive the rounds at every evaluation, and the metrics.
        keep: the tensors that are kept.
        attacks: the attacks that are made.

    Returns:
        The content of `metrics.json`.

    Raises:
        SimulatorError: the configuration, the data set or the folder cannot be used, or the disk is too small.
        OSError: the disk is full or broken; it names the file or the folder.
        KeyboardInterrupt: interrupted. During the attacks, everything but those that are missing is written before.
    """
    with lock.hold(folder), files.named(folder):
        return _run(config, folder, data, progress, trackers, keep, attacks)


def _run(
    config: Config,
    folder: Path,
    data: Path | Dataset | None,
    progress: Progress,
    trackers: Sequence[Tracker],
    keep: Keep,
    attacks: Kind,
) -> dict[str, Any]:
    started, left = time.perf_counter(), outcome.left(folder, config)
    expect = partial(kept_state.expect_room, folder, config) if keep == "state" else None
    trained = train(config, folder, data, progress, trackers, expect)
    ranks = trained.ranks()
    metrics: dict[str, Any] = {
        **_quality(trained, ranks),
        **sampling.metrics(len(ranks.full), len(trained.population)),
        **trained.measured.metrics,
        "round": trained.best.round,
        **trained.cost,
        **promise.of(trained.bundle.manifest, config.evaluation.delta),
        "configuration": config.document(),
        **_of_attributes(trained),
        "seconds": time.perf_counter() - started,
    }
    grouped = {f"{groups.COLUMN}{name}": names_of(attribute) for name, attribute in _ranked(trained).items()}
    frames.write(ranks.frame().assign(user=trained.evaluation.users, **grouped), folder / "ranks.parquet")
    frames.write(trained.rounds, folder / "rounds.parquet")
    _keep(trained, folder, keep)
    metrics |= own_metrics.measure(trained, ranks)
    asked = Asked.of(config, attacks)
    earlier = left if left.get("round") == trained.best.round else {}
    metrics = outcome.attack(trained, folder, data, metrics, asked, progress, earlier)
    resume.discard(folder)
    for tracker in trackers:
        tracker.end(metrics, folder)
    return metrics


def _quality(trained: Trained, ranks: Ranks) -> dict[str, Any]:
    """Measures recommendation over all users, and by group of each attribute as far as it is known."""
    split, items = trained.evaluation.split, trained.bundle.manifest.items
    quality = Quality.of(ranks, trained.config.evaluation.k, split.train, items)
    return {
        "users": len(split.train),
        "items": items,
        **quality.metrics(),
        "intervals": intervals(quality),
        groups.GROUPS: compare(quality, _ranked(trained)),
    }


def _ranked(trained: Trained) -> dict[str, Attribute]:
    """Returns what is known of the attributes of the users who are ranked."""
    users = trained.evaluation.users
    return {name: replace(attribute, labels=attribute.labels[users]) for name, attribute in trained.known.items()}


def _keep(trained: Trained, folder: Path, keep: Keep) -> None:
    """Keeps what is asked for in place of what an earlier run of the folder kept."""
    kept_model.remove(folder)
    kept_state.remove(folder)
    if keep != "none":
        kept_model.write(folder, trained.measured.checkpoint, read_items(folder / ITEMS))
    if keep == "state":
        kept_state.write(folder, trained)


def _of_attributes(trained: Trained) -> dict[str, Any]:
    """Returns trigger rates by class and the number of clients whose attribute is unknown, for each attribute."""
    metrics: dict[str, Any] = {}
    for prefix, name, attribute in assembly.prefixed(trained.attributes):
        metrics[f"{prefix}trigger_rate"] = _trigger_rates(trained.rounds, attribute, prefix)
        metrics[f"{prefix}unknown_clients"] = int((trained.known[name].labels < 0).sum())
    return metrics


def _trigger_rates(rounds: pd.DataFrame, attribute: Attribute, prefix: str) -> Mapping[str, float]:
    columns = {name: f"{prefix}trigger_rate_{name}" for name in attribute.classes}
    return {name: float(np.nanmean(rounds[column])) for name, column in columns.items() if column in rounds}
