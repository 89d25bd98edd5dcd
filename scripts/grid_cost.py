"""Measures what sums of integers cost the simulator beside plain ones: `python -m scripts.grid_cost`.

Rounds of 94 clients of MovieLens 100K with the paper's plan alternate, plain and with the policy that calibration
chooses. The table has the median CPU time of a contribution, without the server's step.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from export import sums
from export.bundle import Bundle
from fedau2 import native
from fedau2.wire import blobs
from scripts.masking import choices, computed
from simulator.bench.engines import CLASSES, alternated, cohort_of, copy_of, cpu, engine_of, population_of
from simulator.config.sections import EngineSettings
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
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
    members = cohort_of(len(population), COHORT, 1)
    hidden = _hidden(bundle, population)
    ways: dict[str, Callable[[], object]] = {
        "plain": partial(engine_of(bundle, copy_of(population), kernel).collect, members)
    }
    for name, library in choices().items():
        collect = partial(engine_of(hidden, copy_of(population), kernel).collect, members)
        ways[name] = partial(computed, library, collect)
    costs = alternated(ways.values(), cpu, repeats).T / COHORT * 1e3
    plain, *grids = costs
    for name, grid in zip([*ways][1:], grids, strict=True):
        print(
            f"| {model} | {kernel} | {statistics.median(plain):.2f} | {name} | {statistics.median(grid):.2f} | "
            f"{statistics.median(grid / plain):.1f} |",
            flush=True,
        )


def _population(model: str, data_dir: Path | None) -> tuple[Bundle, Population]:
    dataset = load("ml-100k", data_dir)
    values = [CLASSES[label] for label in dataset.attributes["gender"].labels]
    return population_of(leave_one_out(dataset).train, values, len(dataset.items), model)


def _hidden(bundle: Bundle, population: Population) -> Bundle:
    settings = EngineSettings(rounds=2, workers=1)
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    measured = calibrate(settings, bundle.manifest, checkpoint, copy_of(population))
    return sums.add(bundle, measured.policy(settings, bundle.manifest))


if __name__ == "__main__":
    main()
