"""`fedau2-sim bench --workers N`: whole rounds with N threads beside rounds with one, in alternation."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from simulator.bench.engines import (
    CLASSES,
    Interactions,
    alternated,
    cohort_of,
    copy_of,
    engine_of,
    kernels,
    population_of,
)
from simulator.engines.kernels import KernelName

MODELS = ("fedncf", "fedrap", "fedvae")
"""Recommenders that are measured."""

COHORTS = (94, 943)
"""Sizes of the measured cohorts: a tenth of MovieLens 100K, and all of it."""


@dataclass(frozen=True)
class Gain:
    """Compares rounds of several threads with rounds of one.

    Attributes:
        model: the recommender.
        kernel: name of the kernel.
        cohort: number of clients in the round.
        seconds: elapsed time of a round with one thread, median over the repeats.
        gain: factor by which several threads are faster, median over the repeats.
        low, high: smallest and largest gain.
        cpu: CPU time of a round with several threads, over that with one; median.
    """

    model: str
    kernel: KernelName
    cohort: int
    seconds: float
    gain: float
    low: float
    high: float
    cpu: float


def measure(
    model: str, kernel: KernelName, data: tuple[Interactions, NDArray[np.int64], int], workers: int, repeats: int
) -> list[Gain]:
    """Measures whole rounds of each cohort, `repeats` times after a warm-up.

    Args:
        model: the recommender.
        kernel: name of the kernel.
        data: each client's interactions and class, and the length of the catalogue.
        workers: number of threads to compare with one.
        repeats: number of alternations.
    """
    interactions, labels, items = data
    bundle, population = population_of(interactions, [CLASSES[label] for label in labels], items, model)
    engines = engine_of(bundle, population, kernel), engine_of(bundle, copy_of(population), kernel, workers)
    gains = []
    for size in dict.fromkeys(min(size, len(population)) for size in COHORTS):
        members = cohort_of(len(population), size, 1)
        ways = [partial(engine.train_round, members) for engine in engines]
        costs = alternated(ways, _cost, repeats)
        ratios = costs[:, 0, 0] / costs[:, 1, 0]
        gain = Gain(
            model=model,
            kernel=kernel,
            cohort=size,
            seconds=float(np.median(costs[:, 0, 0])),
            gain=float(np.median(ratios)),
            low=float(ratios.min()),
            high=float(ratios.max()),
            cpu=float(np.median(costs[:, 1, 1] / costs[:, 0, 1])),
        )
        gains.append(gain)
    return gains


def _cost(work: Callable[[], object]) -> tuple[float, float]:
    """Returns the elapsed seconds and the CPU seconds of the work."""
    start = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def table(gains: Sequence[Gain], workers: int) -> Table:
    """Makes the table of the gains."""
    title = f"Whole rounds with {workers} threads beside rounds with one, alternated"
    shown = Table(title=title, title_justify="left")
    for column in ("model", "kernel", "clients", "one thread, ms", "times faster", "lowest to highest", "CPU"):
        shown.add_column(column)
    for row in gains:
        spread, cpu = f"{row.low:.2f} to {row.high:.2f}", f"{row.cpu:.2f} times"
        shown.add_row(
            row.model, row.kernel, f"{row.cohort:,}", f"{1e3 * row.seconds:.0f}", f"{row.gain:.2f}", spread, cpu
        )
    return shown


def report(
    data: tuple[Interactions, NDArray[np.int64], int], workers: int, repeats: int, console: Console
) -> list[Gain]:
    """Measures all recommenders with all kernels of this machine, prints the table and returns the gains."""
    ways = [(model, kernel) for model in MODELS for kernel in kernels()]
    gains = [gain for model, kernel in ways for gain in measure(model, kernel, data, workers, repeats)]
    console.print(table(gains, workers))
    return gains
