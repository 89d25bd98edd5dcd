"""Measures the lists of devices that have recorded nothing, against the order by popularity (docs/results/sdk.md).

    FEDAU2_DATA=folder python -m scripts.without_records --model fedncf --rounds 600

Trains without an adversary on MovieLens 100K. Then each user's test item is ranked by the trained model: for the user,
for a new device with the private tensors that it draws first, and for a user whose private tensors are zero.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from client_sdk import draws
from export.bundle import from_plan
from export.plan.planfile import complete
from export.plan.resolve import resolve
from fedau2.wire import blobs, manifest
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
from simulator.engines.batched import BatchedEngine
from simulator.evaluation.ranking import Scores, rank_all
from simulator.evaluation.scoring import Scorer
from simulator.population import public_randomness
from simulator.population.population import Population, client_key

_NEW = 1_000_000
"""Number that no simulated client has: the seed of the keys of new devices."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, and prints a line for each way to rank."""
    parser = argparse.ArgumentParser(description="Measures the lists of devices that have recorded nothing.")
    parser.add_argument("--model", default="fedncf", help="recommender")
    parser.add_argument("--rounds", type=int, default=600, help="rounds of training")
    options = parser.parse_args(arguments)
    dataset = load("ml-100k")
    split, clients = leave_one_out(dataset), len(dataset.users)
    bundle = from_plan(resolve(complete({"adversaries": "none"}, options.model), {}), dataset.items, 0)
    task = bundle.manifest
    population = Population.create(task, 0, split.train, {})
    engine = BatchedEngine(task, blobs.unpack(bundle.blob(task.checkpoint)), population)
    for number in range(options.rounds):
        rng = public_randomness.generator("cohorts", 0, number)
        engine.train_round(rng.choice(clients, clients // 10, replace=False))
    nothing = [np.zeros(0, np.int64)] * clients
    drawn = [draws.initial(manifest.private(task), client_key(_NEW, client)) for client in range(clients)]
    new = {spec.name: np.stack([values[spec.name] for values in drawn]) for spec in manifest.private(task)}
    zero = {name: np.zeros_like(value) for name, value in new.items()}
    counts = np.bincount(np.concatenate(split.train), minlength=task.items).astype(np.float32)
    ways: Mapping[str, Scores] = {
        "popularity": lambda users: np.tile(counts, (len(users), 1)),
        "new device": Scorer(task, engine.checkpoint, new, nothing),
        "zero": Scorer(task, engine.checkpoint, zero, nothing),
        "trained": Scorer(task, engine.checkpoint, population.state.values, split.train),
    }
    masked = [np.append(train, item) for train, item in zip(split.train, split.validation, strict=True)]
    _, candidates = split.candidates(np.arange(clients))
    for name, scores in ways.items():
        print(options.model, options.rounds, name, _metrics(scores, split.test, candidates, masked))


def _metrics(scores: Scores, *ranked: Any) -> dict[str, float]:  # noqa: ANN401 - those of `rank_all`
    ranks = rank_all(scores, *ranked)
    return {name: round(value, 3) for name, value in ranks.metrics().items()}


if __name__ == "__main__":
    main()
