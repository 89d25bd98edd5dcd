"""Runs all measurements and prints them as tables."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from simulator.bench import workers as threads
from simulator.bench.engines import Interactions
from simulator.bench.workloads import (
    NAIVE,
    FleetCost,
    PaperWorkload,
    Ratios,
    fleet,
    scaling,
    small_workload,
)
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
from simulator.errors import DatasetError


def report(data_dir: Path | None, out: Path | None, quick: bool, console: Console) -> dict[str, Any]:
    """Runs all measurements, prints them, and returns their figures for JSON.

    Args:
        data_dir: folder of MovieLens 100K; without it the data is synthetic.
        out: JSON file for the results; None writes no file.
        quick: true for fewer repeats and smaller cohorts.
        console: prints the tables.
    """
    interactions, labels, items, source = data_of(data_dir)
    repeats = 3 if quick else 15
    training, rounds = {}, {}
    for model in NAIVE:
        workload = PaperWorkload(model, interactions, labels, items)
        training[model], rounds[model] = workload.training(repeats), workload.rounds(repeats)
    copies = PaperWorkload("fedncf", interactions, labels, items, copies=True).training(repeats)
    small = small_workload(repeats)
    costs = scaling((10, 100, 1000) if quick else (10, 100, 1000, 10_000))
    rows = {f"{model}, DSVAE, SUT, 94 clients of {source}": ratio for model, ratio in training.items()}
    rows |= {"fedncf, a copy of every module per client": copies, "small, two local steps": small}
    rows |= {f"{model}, with the server's step": ratio for model, ratio in rounds.items()}
    console.print(_ratios(rows))
    console.print(_scaling(costs))
    clients = len(interactions)
    fleets = [fleet(interactions, labels, items, at_once, 2 if quick else 10) for at_once in (94, clients)]
    console.print(_fleets(fleets))
    figures = {
        "training": {model: _figures(ratios) for model, ratios in training.items()},
        "rounds": {model: _figures(ratios) for model, ratios in rounds.items()},
        "copies": _figures(copies),
        "small": _figures(small),
        "scaling_cpu_ms": costs,
        "fleet": list(map(asdict, fleets)),
    }
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return figures


def workers(
    data_dir: Path | None, out: Path | None, quick: bool, number: int, console: Console
) -> list[dict[str, Any]]:
    """Measures rounds of several threads beside rounds of one, prints them, and returns their figures for JSON.

    Args:
        data_dir: folder of MovieLens 100K; without it the data is synthetic.
        out: JSON file for the results; None writes no file.
        quick: true for fewer repeats.
        number: number of threads to compare with one.
        console: prints the table.
    """
    interactions, labels, items, _ = data_of(data_dir)
    gains = threads.report((interactions, labels, items), number, 3 if quick else 15, console)
    figures = list(map(asdict, gains))
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return figures


def data_of(data_dir: Path | None) -> tuple[Interactions, NDArray[np.int64], int, str]:
    """Returns the training interactions of MovieLens 100K or of synthetic data, the genders, the items and its name."""
    try:
        dataset = load("ml-100k", data_dir)
    except DatasetError:
        dataset = load("synthetic", users=943, items=1682)
    train = leave_one_out(dataset).train
    return train, dataset.attributes["gender"].labels, len(dataset.items), dataset.name


def _figures(ratios: Ratios) -> dict[str, dict[str, float]]:
    return {kernel: asdict(ratio) for kernel, ratio in ratios.items()}


def _ratios(rows: dict[str, Ratios]) -> Table:
    table = Table(title="CPU-ms per client, one thread, alternated with a naive PyTorch loop", title_justify="left")
    for column in ("workload", "kernel", "naive", "batched", "times faster", "lowest to highest"):
        table.add_column(column)
    for name, ratios in rows.items():
        for kernel, row in ratios.items():
            spread = f"{row.low:.1f} to {row.high:.1f}"
            table.add_row(name, kernel, f"{row.naive:.2f}", f"{row.ours:.3f}", f"{row.ratio:.1f}", spread)
    return table


def _fleets(costs: Sequence[FleetCost]) -> Table:
    table = Table(title="Fleet over gRPC: CPU-ms per session, one thread", title_justify="left")
    for column in ("at once", "device", "coordinator", "sessions/s"):
        table.add_column(column)
    for cost in costs:
        table.add_row(
            str(cost.at_once), f"{cost.device_ms:.1f}", f"{cost.coordinator_ms:.1f}", f"{cost.sessions_per_second:.0f}"
        )
    return table


def _scaling(costs: dict[int, float]) -> Table:
    table = Table(title="CPU-ms per client by size of the cohort, server's step included", title_justify="left")
    for size in costs:
        table.add_column(f"{size:,}")
    table.add_row(*(f"{cost:.2f}" for cost in costs.values()))
    return table
