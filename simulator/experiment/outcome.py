"""Attacks a run, and writes what it found into its folder: metrics, pictures and the report."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedau2 import files
from simulator.config.config import Config
from simulator.datasets import Dataset
from simulator.evaluation import sampling, significance
from simulator.experiment import assembly, promise, resources, resume
from simulator.experiment.asked import Asked
from simulator.experiment.train import Trained
from simulator.experiment.trainer import Progress
from simulator.reporting import attacked, plots, run_report, words
from simulator.reporting.groups import GROUPS

METRICS = "metrics.json"
"""The file of the metrics; it is written last."""


def attack(
    trained: Trained,
    folder: Path,
    source: Path | Dataset | None,
    metrics: Mapping[str, Any],
    asked: Asked,
    progress: Progress,
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Attacks a run, and writes what was found.

    Args:
        trained: the run.
        folder: of the run.
        source: where the data set is, if the user said so, or the data set itself.
        metrics: of the run so far.
        asked: the attacks.
        progress: receives how far they are.
        earlier: see `attacking.run`; None: none of the attacks was made.

    Returns:
        The metrics with the attacks.

    Raises:
        KeyboardInterrupt: interrupted. The results are written, unless an earlier call had more.
        OSError: the disk is full or broken.
    """
    started, found = time.perf_counter(), dict(metrics)
    try:
        from simulator.experiment import attacking  # here, because its libraries take a while to load

        attacking.run(trained, asked, found, progress, earlier or {})
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_interrupted(trained, folder, source, metrics, found)) from error
    found["seconds"] += time.perf_counter() - started
    found["peak_rss_mib"] = resources.peak_rss_mib()
    return write(trained, folder, source, found)


def _interrupted(
    trained: Trained,
    folder: Path,
    source: Path | Dataset | None,
    before: Mapping[str, Any],
    found: Mapping[str, Any],
) -> str:
    """Writes what was found, if it is more than before; says what is there."""
    missing, asked = len(attacked.missing(found)), len(found[attacked.MARK]["asked"])
    if attacked.MARK in before and len(attacked.missing(before)) <= missing:
        return f"interrupted: {folder} keeps the attacks that it had"
    write(trained, folder, source, found)
    return (
        f"interrupted: {folder} holds what was trained and {asked - missing} of {asked} attacks; the same command "
        "makes the others"
    )


def write(trained: Trained, folder: Path, source: Path | Dataset | None, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the p-values of the attacks; writes pictures, report and metrics of a run in place of those that are there.

    Args:
        trained: the run.
        folder: of the run.
        source: see `attack`.
        metrics: with the mark of the attacks.

    Returns:
        All metrics.

    Raises:
        OSError: the disk is full or broken.
    """
    config, attributes = trained.config, trained.attributes
    chances = {prefix: 1 / len(attribute.classes) for prefix, _, attribute in assembly.prefixed(attributes)}
    metrics = {**metrics, "p_holm": significance.corrected(metrics)}
    plots.plot_learning(trained.rounds, metrics["round"], config.evaluation.split, folder / "learning.png", metrics)
    for name, file in plots.group_files(list(attributes)).items():
        if name in metrics.get(GROUPS, {}):  # a run of an earlier version has none
            plots.plot_groups(metrics[GROUPS][name], name, folder / file)
    pictures, label = plots.leakage_files(list(attributes)), words.label(config)
    for prefix, name, _ in assembly.prefixed(attributes):
        figures = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        plots.plot_leakage({label: figures}, name, chances[prefix], folder / pictures[name])
    ranked = sampling.sentences(metrics, len(trained.population))
    run_report.write(config, folder, source, metrics, [*trained.remarks, *ranked, *promise.sentences(metrics)])
    files.write(folder / METRICS, f"{json.dumps(metrics, indent=2)}\n".encode())
    return metrics


def left(folder: Path, config: Config) -> dict[str, Any]:
    """Returns the metrics that interrupted attacks left in the folder of a run that goes on; without any, none."""
    if not resume.unfinished(folder):
        return {}
    try:
        metrics: dict[str, Any] = json.loads((folder / METRICS).read_text("utf-8"))
        other = not attacked.missing(metrics) or config.differences(metrics["configuration"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # the attacks are made again
    return {} if other else metrics
