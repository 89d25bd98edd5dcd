"""Measures what sums of integers cost the simulator beside plain ones: `python -m scripts.grid_cost`.

Rounds of 94 clients of MovieLens 100K with the paper's plan alternate, plain and with the policy that calibration
chooses. The table has the median CPU time of a contribution, without the server's step.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from export import sums
from export.bundle import Bundle, build
from export.plan.message import plan_of
from fedau2 import native
from fedau2.wire import blobs
from scripts.masking import choices, computed
from simulator.config.sections import EngineSettings
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
from simulator.engines.batched import BatchedEngine
from simulator.engines.kernels import KernelName
from simulator.experiment.calibration import calibrate
from simulator.experiment.resources import prepare
from simulator.population.population import Population

COHORT = 94


def main() -> None:
    """Prints a line for each model, kernel and arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--models", nargs="+", default=["fedncf", "fedrap", "fedvae"], help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="(default: %(default)s)")
    options = parser.parse_args()
    prepare()
    kernels: list[KernelName] = ["torch", "native"] if native.load() else ["torch"]
    print("| model | kernel | plain, ms | arithmetic | grid, ms | ratio |")
    print("|---|---|---|---|---|---|", flush=True)
    for model in options.models:
        bundle, population = _population(model, options.data_dir)
        for kernel in kernels:
            _measure(model, bundle, population, kernel, options.repeats)


def _measure(model: str, bundle: Bundle, population: Population, kernel: KernelName, repeats: int) -> None:
    members = np.random.default_rng(1).choice(len(population), COHORT, replace=False)
    hidden = _hidden(bundle, population)
    ways: dict[str, Callable[[], object]] = {"plain": partial(_engine(bundle, population, kernel).collect, members)}
    for name, library in choices().items():
        collect = partial(_engine(hidden, population, kernel).collect, members)
        ways[name] = partial(computed, library, collect)
    costs = np.array([[_cpu(way) for way in ways.values()] for _ in range(repeats + 1)][1:]).T / COHORT * 1e3
    plain, *grids = costs
    for name, grid in zip([*ways][1:], grids, strict=True):
        print(
            f"| {model} | {kernel} | {statistics.median(plain):.2f} | {name} | {statistics.median(grid):.2f} | "
            f"{statistics.median(grid / plain):.1f} |",
            flush=True,
        )


def _population(model: str, data_dir: Path | None) -> tuple[Bundle, Population]:
    dataset = load("ml-100k", data_dir)
    gender = {"attribute": "gender", "classes": ["M", "F"]}
    bundle = build(model, [str(item) for item in dataset.items], plan_of(model, {"adversaries": [gender]}), 0)
    values = ["MF"[label] for label in dataset.attributes["gender"].labels]
    return bundle, Population.create(bundle.manifest, 0, leave_one_out(dataset).train, {"gender": values})


def _hidden(bundle: Bundle, population: Population) -> Bundle:
    settings = EngineSettings(rounds=2, workers=1)
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    measured = calibrate(settings, bundle.manifest, checkpoint, _copy(population))
    return sums.add(bundle, measured.policy(settings, bundle.manifest))


def _engine(bundle: Bundle, population: Population, kernel: KernelName) -> BatchedEngine:
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, _copy(population), 1, kernel=kernel)


def _copy(population: Population) -> Population:
    return replace(population, state=population.take(np.arange(len(population))))


def _cpu(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
