"""`fedau2-sim demo`: the Original beside FedAU2, on MovieLens 100K where it can be had."""

import multiprocessing
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from rich.console import Console

from simulator import plots, process
from simulator.config import Config
from simulator.datasets import load
from simulator.errors import DatasetError
from simulator.run import run
from simulator.terminal import Bar, bars, results

NAMES = ("Original", "FedAU2")

Event = tuple[str, str, tuple[Any, ...]]
"""Name of a run, method of its bar, arguments."""


class _Remote:
    """A bar in another process; `run.Progress`."""

    def __init__(self, name: str, events: "Queue[Event]") -> None:
        self._name, self._events = name, events

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._events.put((self._name, "start", (what, total, done)))

    def advance(self, text: str = "") -> None:
        self._events.put((self._name, "advance", (text,)))


def demo(folder: Path, data_dir: Path | None, console: Console) -> dict[str, dict[str, Any]]:
    """Trains both at once, a process each, prints one table and leaves two run folders and a plot.

    Args:
        folder: for the run folders; earlier results of the demo in it are replaced.
        data_dir: see `datasets.load`.
        console: to print on.
    """
    dataset = _dataset(data_dir, console)
    configs = [
        Config(dataset=dataset, adversary=adversary, rounds=400, workers=1, attack_splits=8)
        for adversary in ("none", "dsvae")
    ]
    for name in NAMES:
        shutil.rmtree(_folder(folder, name), ignore_errors=True)
    runs = dict(zip(NAMES, _both(configs, folder, data_dir, console), strict=True))
    console.print(results(runs, f"FedNCF on {dataset}, gender, {configs[0].rounds} rounds"))
    plots.plot_leakage(runs, 0.5, folder / "leakage.png")
    console.print(f"Plots and metrics: {folder}/")
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
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(len(configs), context) as pool, bars(console) as display:
        events: Queue[Event] = manager.Queue()
        shown = {name: Bar(display, name) for name in NAMES}
        jobs = [
            pool.submit(_run, config, _folder(folder, name), data_dir, _Remote(name, events))
            for name, config in zip(NAMES, configs, strict=True)
        ]
        while not all(job.done() for job in jobs):
            _show(shown, events)
        return [job.result() for job in jobs]


def _show(shown: dict[str, Bar], events: "Queue[Event]") -> None:
    try:
        name, method, arguments = events.get(timeout=0.2)
    except Empty:
        return
    getattr(shown[name], method)(*arguments)


def _run(config: Config, folder: Path, data_dir: Path | None, progress: _Remote) -> dict[str, Any]:
    process.prepare()
    return run(config, folder, data_dir, progress)
