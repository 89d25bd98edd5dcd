"""Repeats an experiment: makes a grid, does the runs that are missing, and writes tables, plots and the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from simulator.errors import ConfigError, RunsFailedError, explain
from simulator.experiment.pool import Job, work
from simulator.reporting import frames
from simulator.reporting.terminal import bars
from simulator.reporting.tracking import NOWHERE, Tracking
from simulator.reproduce import costs, grid, report, results, table
from simulator.reproduce.experiments import ORIGINAL, Experiment
from simulator.reproduce.grid import Cell, Choice
from simulator.reproduce.progress import Overall
from simulator.reproduce.shard import Shard


@dataclass(frozen=True)
class Request:
    """An experiment to repeat.

    Attributes:
        experiment: the experiment.
        choice: the part of it that is run.
        folder: folder of the results.
        data_dir: see `datasets.load`.
        jobs: number of runs at once.
        command: command line, for the report.
        tracking: further places of the metrics of runs that are done now.
        shard: the part of the runs that is done; None: all are, and tables and pictures are written.
    """

    experiment: Experiment
    choice: Choice
    folder: Path
    data_dir: Path | None
    jobs: int
    command: str
    tracking: Tracking = NOWHERE
    shard: Shard | None = None


def reproduce(request: Request, console: Console) -> None:
    """Checks the grid, runs what is not finished, and writes everything; a later call goes on where this one ended.

    The folder then holds `runs/`, `results.parquet` (a row per run), `summary.parquet` (a row per method),
    `costs.parquet` (a row per method and group of users), plots and `report.html`.

    Raises:
        SimulatorError: the grid cannot be run; nothing was trained.
        RunsFailedError: some runs failed; everything else is written.
        OSError: the disk is full.
    """
    cells, folder = grid.build(request.experiment, request.choice), request.folder
    grid.check(cells, folder / "runs", request.data_dir)
    left_out = grid.left_out(request.experiment, request.choice, cells)
    cells = request.shard.part(cells) if request.shard else cells
    finished = {cell.name: metrics for cell in cells if (metrics := results.finished(cell, folder / "runs"))}
    console.print(f"{len(cells)} runs, of which {len(finished)} are finished: {folder}/runs/", markup=False)
    if left_out:
        console.print(f"Left out, since there is no preset or no round is left to unlearn in: {', '.join(left_out)}")
    if request.choice.methods is not None and ORIGINAL not in request.choice.methods:
        console.print("Nothing is compared without original in --method: no change, p and users.")
    if len(finished) < len(cells):
        request.tracking.trackers()  # raises an error before anything is trained
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {explain(error)}") from error
    metrics, errors = _run([cell for cell in cells if cell.name not in finished], request, console)
    if request.shard is None:
        _write(request, cells, finished | metrics, errors, console)
    if errors:
        reasons = "; ".join(f"{name}: {error}" for name, error in errors.items())
        raise RunsFailedError(f"{len(errors)} of {len(cells)} runs failed: {reasons}")


def _run(cells: Sequence[Cell], request: Request, console: Console) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Metrics and errors, by name of the run."""
    runs = request.folder / "runs"
    jobs = [Job(cell.name, cell.config, runs / cell.name, request.data_dir, request.tracking) for cell in cells]
    metrics: dict[str, dict[str, Any]] = {}
    errors: dict[str, str] = {}
    if not jobs:
        return metrics, errors
    with bars(console) as display:
        overall = Overall(display, {job.name: job.config.engine.rounds for job in jobs})
        for done in work(jobs, request.jobs, overall.begin):
            overall.end(done.job)
            if done.metrics is None:
                errors[done.job.name] = done.error
                console.print(f"{done.job.name}: {done.error}", style="red", markup=False)
            else:
                metrics[done.job.name] = done.metrics
                console.print(f"{done.job.name}: NDCG@10 {done.metrics['ndcg@10']:.3f}", markup=False)
    return metrics, errors


def _write(
    request: Request,
    cells: Sequence[Cell],
    metrics: Mapping[str, Mapping[str, Any]],
    errors: Mapping[str, str],
    console: Console,
) -> None:
    experiment, folder = request.experiment, request.folder
    frame = results.collect(cells, metrics, errors, folder / "runs")
    frames.write(frame, folder / "results.parquet")
    if not metrics:
        return
    metric_names = results.metrics_of(frame, experiment.metrics)
    summary = results.summarise(frame, metric_names)
    frames.write(summary, folder / "summary.parquet")
    for title, part in table.groups(summary):
        console.print(*table.terminal(title, part, metric_names, console.width), sep="\n")
    for text in table.notes(frame):
        console.print(text, style="dim", markup=False)
    cost = costs.collect(frame, folder / "runs")
    frames.write(cost, folder / "costs.parquet")
    drawn = report.draw(experiment, frame, summary, folder)
    report.write(experiment, cells, frame, summary, cost, drawn, request.command, folder, request.data_dir)
    console.print(f"Report, tables and plots: {folder}/report.html", markup=False)
