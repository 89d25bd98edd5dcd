"""Parts that measurements share: the paper's plan, a population, engines that train it, and cohorts."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.bundle import Bundle, build
from export.plan.message import plan_of
from fedau2.wire import blobs
from simulator.engines.batched import BatchedEngine
from simulator.engines.kernels import KernelName
from simulator.population.population import Population

Interactions = Sequence[NDArray[np.int64]]
"""Each client's sorted catalogue rows."""

CLASSES = ("M", "F")
"""Classes of the attribute that the plan's adversary is about."""


def kernels() -> list[KernelName]:
    """The kernels to measure: the native one where it is installed."""
    return ["torch", "native"] if find_spec("fedau2_native") else ["torch"]


def names_of(items: int) -> list[str]:
    """Names the items of a catalogue."""
    return [str(item) for item in range(items)]


def population_of(
    interactions: Interactions, attribute: Sequence[str], items: int, model: str = "fedncf"
) -> tuple[Bundle, Population]:
    """Makes a task with the paper's plan, and its clients.

    Args:
        interactions: of each client.
        attribute: each client's class.
        items: length of the catalogue.
        model: the recommender.
    """
    plan = plan_of(model, {"adversaries": [{"attribute": "gender", "classes": CLASSES}]})
    bundle = build(model, names_of(items), plan, 0)
    return bundle, Population.create(bundle.manifest, 0, interactions, {"gender": attribute})


def engine_of(bundle: Bundle, population: Population, kernel: KernelName = "auto", workers: int = 1) -> BatchedEngine:
    """Makes an engine that trains a population from the task's first checkpoint."""
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population, workers, kernel=kernel)


def copy_of(population: Population) -> Population:
    """Returns the same clients with a state of their own, for another engine."""
    return replace(population, state=population.take(np.arange(len(population))))


def alternated(
    ways: Iterable[Callable[[], object]], cost: Callable[[Callable[[], object]], Any], repeats: int
) -> NDArray[np.float64]:
    """Measures several ways to do the same in alternation, after a warm-up.

    Args:
        ways: the work.
        cost: does a piece of work, and returns its cost: a number, or several.
        repeats: number of alternations.

    Returns:
        The costs, (repeats, ways) or (repeats, ways, numbers).
    """
    ways = list(ways)
    return np.array([[cost(way) for way in ways] for _ in range(repeats + 1)][1:], np.float64)


def cpu(work: Callable[[], object]) -> float:
    """Does a piece of work, and returns its CPU seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def cohort_of(clients: int, size: int, seed: int) -> NDArray[np.int64]:
    """Draws the places of a cohort's members, without repetition."""
    return np.random.default_rng(seed).choice(clients, size, replace=False)
