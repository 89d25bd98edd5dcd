"""Writes what a run found into its folder: metrics, pictures and the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedau2 import files
from simulator.datasets import Dataset
from simulator.experiment import assembly
from simulator.experiment.train import Trained
from simulator.reporting import attacked, html, plots

METRICS = "metrics.json"
"""The file of the metrics; it is written last."""


def write(trained: Trained, folder: Path, data: Path | Dataset | None, metrics: Mapping[str, Any]) -> None:
    """Writes the pictures, the report and the metrics of a run, in place of those that are there.

    Args:
        trained: the run.
        folder: of the run.
        data: what the user gave, see `run`.
        metrics: with the mark of the attacks.

    Raises:
        OSError: the disk is full or broken.
    """
    config, attributes = trained.config, trained.attributes
    plots.plot_learning(trained.rounds, metrics["round"], config.evaluation.split, folder / "learning.png")
    pictures, label = plots.leakage_files(list(attributes)), f"adversary: {config.adversary}"
    for prefix, name, attribute in assembly.prefixed(attributes):
        figures = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        plots.plot_leakage({label: figures}, name, 1 / len(attribute.classes), folder / pictures[name])
    html.write_run(config, folder, data, metrics, trained.remarks)
    files.write(folder / METRICS, f"{json.dumps(metrics, indent=2)}\n".encode())


def interrupted(folder: Path, metrics: Mapping[str, Any]) -> str:
    """Says what is left of a run whose attacks were interrupted."""
    missing, asked = len(attacked.missing(metrics)), len(metrics[attacked.MARK]["asked"])
    return (
        f"interrupted: {folder} holds what was trained and {asked - missing} of {asked} attacks; the same command "
        "makes the others"
    )
