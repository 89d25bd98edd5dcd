"""Measures what parts of a round take which share of its CPU time: `python -m scripts.round_parts fedrap`.

The native kernel trains 94 clients of MovieLens 100K, or of synthetic data, on one thread. Python's own profiler adds
to the cost of each call, so what is called often looks larger than it is.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from simulator.bench import workloads
from simulator.bench.report import data_of

PARTS = {
    "draws of samples and noise": ("native/draws.py:contrasts", "native/draws.py:whole", "native/draws.py:noise"),
    "layout of samples": ("native/cohorts.py:layout", "kernel/batch.py:layout"),
    "sums that adversaries see": ("native/fedrap.py:_states",),
    "adversaries": ("kernel/adversary.py:gradients",),
    "gradients": ("native/fedncf.py:gradients", "native/fedrap.py:gradients", "kernel/fedvae.py:gradients"),
    "private Adam": ("native/private_adam.py:step",),
    "steps of the clients' shared tensors": ("kernel/training.py:_advance_shared",),
    "contributions of each client": ("kernel/updates.py:separate",),
    "sums of contributions": ("aggregation/aggregators.py:add", "aggregation/aggregators.py:merge"),
    "mean and the server's step": ("aggregation/aggregators.py:mean", "aggregation/optimizers.py:server_step"),
}
"""The functions of each part. A part is counted without other parts that it calls."""

INSIDE = {"gradients": ("sums that adversaries see", "adversaries")}
"""Parts that another one calls."""


def shares(work: Callable[[], object], rounds: int) -> tuple[float, Mapping[str, float]]:
    """Returns the CPU seconds of some rounds without a profiler, and the share of each part with one."""
    for _ in range(3):
        work()
    start = time.process_time()
    for _ in range(rounds):
        work()
    seconds = time.process_time() - start
    profile = cProfile.Profile(time.process_time)
    profile.enable()
    for _ in range(rounds):
        work()
    profile.disable()
    stats = cast(Any, pstats.Stats(profile))
    spent = dict.fromkeys(PARTS, 0.0)
    for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items():
        for name, functions in PARTS.items():
            if f"{file}:{function}".endswith(functions):
                spent[name] += cumulative
    for name, parts in INSIDE.items():
        spent[name] -= sum(spent[part] for part in parts if spent[name])
    spent = {name: used / stats.total_tt for name, used in spent.items() if used}
    return seconds, spent | {"the rest": 1 - sum(spent.values())}


def main() -> None:
    """Measures one workload and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("workload", choices=[*workloads.NAIVE, "small"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--data-dir", type=Path, help="folder of MovieLens 100K, or the folder above it")
    options = parser.parse_args()
    if options.workload == "small":
        work, clients = workloads.small_ways(100, 1682)[1]["native"], 100
    else:
        interactions, labels, items, _ = data_of(options.data_dir)
        engine = workloads.PaperWorkload(options.workload, interactions, labels, items)
        work, clients = engine.ways()["native"], 94
    seconds, parts = shares(work, options.rounds)
    table = Table(title=f"{options.workload}: {1e3 * seconds / options.rounds / clients:.3f} CPU-ms per client")
    for column in ("part", "share"):
        table.add_column(column)
    for name, share in parts.items():
        table.add_row(name, f"{share:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
