"""`fedau2-sim demo`: the Original beside FedAU2, on MovieLens 100K where it can be had."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from export.plan import defaults
from simulator.config import arguments
from simulator.config.config import Config
from simulator.config.presets import preset
from simulator.datasets import load
from simulator.errors import DatasetError, RunsFailedError
from simulator.reporting import plots
from simulator.reporting.terminal import Bar, bars, results

NAMES = ("Original", "FedAU2")
ROUNDS = 400


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--out", type=arguments.folder, default=Path("runs/demo"), help="folder of the results (%(default)s)"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.set_defaults(command=lambda options, console: demo(options.out, options.data_dir, console))


def demo(folder: Path, data_dir: Path | None, console: Console) -> dict[str, dict[str, Any]]:
    """Trains both at once in two processes, prints one table, and leaves two run folders and a plot.

    Args:
        folder: for the run folders; earlier results of the demo in it are replaced.
        data_dir: see `datasets.load`.
        console: to print on.
    """
    dataset = _dataset(data_dir, console)
    short = {"data.dataset": dataset, "engine.rounds": ROUNDS, "engine.workers": 1, "evaluation.attack_splits": 8}
    configs = [Config.of(preset(name, defaults.MODEL), short) for name in ("original", "paper")]
    for name in NAMES:
        shutil.rmtree(_folder(folder, name), ignore_errors=True)
    runs = dict(zip(NAMES, _both(configs, folder, data_dir, console), strict=True))
    console.print(results(runs, f"FedNCF on {dataset}, gender, {ROUNDS} rounds"))
    plots.plot_leakage(runs, "gender", 0.5, folder / "leakage.png")
    console.print(f"Plots and metrics: {folder}/", markup=False)
    return runs


def _folder(folder: Path, name: str) -> Path:
    return folder / f"demo-{name.lower()}"


def _dataset(data_dir: Path | None, console: Console) -> str:
    try:
        console.print(load("ml-100k", data_dir).describe())
    except DatasetError as error:
        console.print(f"MovieLens 100K cannot be had: {error}", style="yellow")
        console.print("The demo goes on with the synthetic data set.", style="yellow")
        return "synthetic"
    return "ml-100k"


def _both(configs: Sequence[Config], folder: Path, data_dir: Path | None, console: Console) -> list[dict[str, Any]]:
    from simulator.experiment.pool import Job, work  # here, because PyTorch takes seconds to load

    jobs = [Job(name, config, _folder(folder, name), data_dir) for name, config in zip(NAMES, configs, strict=True)]
    with bars(console) as display:
        ends = {done.job.name: done for done in work(jobs, len(jobs), lambda job: Bar(display, job.name))}
    if failed := [f"{name}: {done.error}" for name, done in ends.items() if done.metrics is None]:
        raise RunsFailedError("; ".join(failed))
    return [ends[name].metrics or {} for name in NAMES]
