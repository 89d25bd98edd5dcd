"""`fedau2-sim demo`: the Original beside FedAU2, on MovieLens 100K where it can be had; then secure sums of a fleet."""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from export.plan import defaults
from simulator.config import arguments
from simulator.config.config import Config
from simulator.config.presets import preset
from simulator.datasets import load
from simulator.errors import DatasetError, RunsFailedError
from simulator.reporting import attacked, plots, written
from simulator.reporting.terminal import ROWS, Bar, bars, results

NAMES = ("Original", "FedAU2")
ROUNDS = 400

SECURE, SECURE_ROUNDS = "FedAU2 with secure sums", 20
"""The run of real sessions, and its rounds, which take longer than those of the others."""


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--out", type=arguments.folder, default=Path("runs/demo"), help="folder of the results (%(default)s)"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.set_defaults(command=lambda options, console: demo(options.out, options.data_dir, console))


def demo(folder: Path, data_dir: Path | None, console: Console) -> dict[str, dict[str, Any]]:
    """Trains both at once in two processes, then a fleet, prints two tables, and leaves run folders and a plot.

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
    runs = dict(zip(NAMES, _run(NAMES, configs, folder, data_dir, console), strict=True))
    console.print(results(runs, f"FedNCF on {dataset}, gender, {ROUNDS} rounds"))
    for text in written.more_readable(runs["FedAU2"], runs["Original"], "gender"):
        console.print(text)
    plots.plot_leakage(runs, "gender", 0.5, folder / "leakage.png")
    secure = short | {"engine.name": "fleet", "engine.sums": "secure", "engine.rounds": SECURE_ROUNDS}
    shutil.rmtree(_folder(folder, SECURE), ignore_errors=True)
    hidden = _run([SECURE], [Config.of(preset("paper", defaults.MODEL), secure)], folder, data_dir, console)[0]
    console.print(_seen(runs["FedAU2"], hidden))
    console.print(f"Plots and metrics: {folder}/", markup=False)
    return {**runs, SECURE: hidden}


def _folder(folder: Path, name: str) -> Path:
    return folder / f"demo-{name.lower().rpartition(' with ')[2].replace(' ', '-')}"


def _dataset(data_dir: Path | None, console: Console) -> str:
    try:
        console.print(load("ml-100k", data_dir).describe())
    except DatasetError as error:
        console.print(f"MovieLens 100K cannot be had: {error}", style="yellow")
        console.print("The demo goes on with the synthetic data set.", style="yellow")
        return "synthetic"
    return "ml-100k"


def _seen(plain: Mapping[str, Any], hidden: Mapping[str, Any]) -> Table:
    """Makes the table of what a coordinator reads in a plain task, and in one with secure sums."""
    table = Table(title="What the coordinator reads", title_justify="left")
    for name in ("", "plain sums", f"secure sums, a fleet of real sessions, {SECURE_ROUNDS} rounds"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("Contributions that it sees one by one", "all", "none")
    for label, key, _ in ROWS:
        if key.startswith(("leak_", "sum_")):
            table.add_row(label, attacked.cell(plain, key), attacked.cell(hidden, key))
    return table


def _run(
    names: Sequence[str], configs: Sequence[Config], folder: Path, data_dir: Path | None, console: Console
) -> list[dict[str, Any]]:
    from simulator.experiment.pool import Job, work  # here, because PyTorch takes seconds to load

    jobs = [Job(name, config, _folder(folder, name), data_dir) for name, config in zip(names, configs, strict=True)]
    with bars(console) as display:
        ends = {done.job.name: done for done in work(jobs, len(jobs), lambda job: Bar(display, job.name))}
    if failed := [f"{name}: {done.error}" for name, done in ends.items() if done.metrics is None]:
        raise RunsFailedError("; ".join(failed))
    return [ends[name].metrics or {} for name in names]
