"""`fedau2-sim demo`: the Original beside FedAU2, what is recommended, and secure sums of a fleet, on MovieLens 100K."""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands.printing import notes
from simulator.config import arguments
from simulator.errors import DatasetError, RunsFailedError
from simulator.reporting import attacked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from simulator.config.config import Config

PRESETS = {"Original": "original", "FedAU2 of the paper": "paper", "Recommended": "recommended"}
"""The runs of the batched engine, and the preset of each."""

ORIGINAL = "Original"
ROUNDS = 400

SECURE, SECURE_ROUNDS = "FedAU2 with secure sums", 20
"""The run of real sessions, and its rounds, which take longer than those of the others."""

PROCESSES = 2

_OTHER, _USERS = "synthetic", 960
"""The data set where MovieLens cannot be had, and its users: a tenth of them is enough for a secure sum."""


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--out", type=arguments.folder, default=Path("runs/demo"), help="folder of the results (%(default)s)"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_demo)


def _demo(options: argparse.Namespace, console: "Console") -> None:
    metrics = demo(options.out, options.data_dir, notes(options, console))
    if options.json:
        print(json.dumps(metrics, indent=2))


def demo(folder: Path, data_dir: Path | None, console: "Console") -> dict[str, dict[str, Any]]:
    """Trains two at once in a process each, prints two tables, and leaves run folders and a report of all.

    Args:
        folder: for the run folders; earlier results of the demo in it are replaced.
        data_dir: see `datasets.load`.
        console: to print on.
    """
    from simulator.reporting import comparison, written  # here, because help needs no templates
    from simulator.reporting.comparison import Beside

    dataset = _dataset(data_dir, console)
    configs = _configs(dataset)
    for name in configs:
        shutil.rmtree(_folder(folder, name), ignore_errors=True)
    metrics = _run(configs, folder, data_dir, console)
    runs = {
        name: Beside(configs[name], metrics[name], f"{_folder(folder, name).name}/report.html")
        for name in (*PRESETS, SECURE)
    }
    comparison.write(folder, f"The demo: FedNCF on {dataset}, gender", runs, ORIGINAL, chance=0.5)
    console.print(comparison.table(f"FedNCF on {dataset}, gender", runs))
    console.print(comparison.NOTE, style="dim")
    console.print(_seen(*(runs[name].metrics for name in (list(PRESETS)[1], SECURE))))
    console.print(comparison.summary(runs, ORIGINAL), markup=False)
    for name, beside in runs.items():
        for text in written.more_readable(beside.metrics, metrics[ORIGINAL], "gender", len(runs) - 1):
            console.print(f"{name}: {text}", markup=False)
    console.print(f"Report, plots and metrics: {folder}/report.html", markup=False)
    return metrics


def _configs(dataset: str) -> dict[str, "Config"]:
    """Returns the configurations of the runs by name, first that of the fleet, since it takes the longest."""
    from export.plan import defaults
    from simulator.config.config import Config
    from simulator.config.presets import preset

    short: dict[str, object] = {"data.dataset": dataset, "engine.workers": 1, "evaluation.attack_splits": 8}
    if dataset == _OTHER:
        short["data.users"] = _USERS
    secure = {"engine.name": "fleet", "engine.sums": "secure", "engine.rounds": SECURE_ROUNDS}
    configs = {SECURE: Config.of(preset("paper", defaults.MODEL), short, secure)}
    for name, method in PRESETS.items():
        configs[name] = Config.of(preset(method, defaults.MODEL), short, {"engine.rounds": ROUNDS})
    return configs


def _folder(folder: Path, name: str) -> Path:
    return folder / f"demo-{name.lower().rpartition(' with ')[2].replace(' ', '-')}"


def _dataset(data_dir: Path | None, console: "Console") -> str:
    from simulator.datasets import load

    try:
        console.print(load("ml-100k", data_dir).describe())
    except DatasetError as error:
        console.print(f"MovieLens 100K cannot be had: {error}", style="yellow")
        console.print("The demo goes on with the synthetic data set.", style="yellow")
        return _OTHER
    return "ml-100k"


def _seen(plain: Mapping[str, Any], hidden: Mapping[str, Any]) -> "Table":
    """Makes the table of what a coordinator reads in a plain task, and in one with secure sums."""
    from rich.table import Table

    from simulator.reporting.terminal import ROWS

    table = Table(title="What the coordinator reads", title_justify="left")
    for name in ("", "plain sums", f"secure sums, a fleet of real sessions, {SECURE_ROUNDS} rounds"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("Contributions that it sees one by one", "all", "none")
    for label, key, _ in ROWS:
        if key.startswith(("leak_", "sum_")):
            table.add_row(label, attacked.cell(plain, key), attacked.cell(hidden, key))
    return table


def _run(
    configs: Mapping[str, "Config"], folder: Path, data_dir: Path | None, console: "Console"
) -> dict[str, dict[str, Any]]:
    from simulator.experiment.pool import Job, work  # here, because PyTorch takes seconds to load
    from simulator.reporting.terminal import Bar, bars

    jobs = [Job(name, config, _folder(folder, name), data_dir) for name, config in configs.items()]
    with bars(console) as display:
        ends = {done.job.name: done for done in work(jobs, PROCESSES, lambda job: Bar(display, job.name))}
    if failed := [f"{name}: {done.error}" for name, done in ends.items() if done.metrics is None]:
        raise RunsFailedError("; ".join(failed))
    return {name: ends[name].metrics or {} for name in configs}
