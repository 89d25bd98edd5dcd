"""The effect of float16 serving tensors on the recommendations of a trained model."""

import numpy as np
import pytest

from client_sdk.onnx.served_model import ServedModel
from export.bundle import build
from fedau2.wire import blobs
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
from simulator.engines.batched import BatchedEngine
from simulator.experiment import assembly
from tests.simulator.runs import prepared
from tests.simulator.settings import make


@pytest.mark.slow
def test_float16_keeps_the_recommendations_of_a_trained_model(movielens):
    config = make(rounds=300)
    dataset = load("ml-100k", movielens)
    train = leave_one_out(dataset, config.evaluation.split).train
    _, bundle, population = prepared(config, dataset, train)
    engine = BatchedEngine(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)), population, 1)
    for number in range(config.engine.rounds):
        engine.train_round(assembly.cohort(config.engine, number, len(population)))
    overlaps, errors, spreads = zip(*compare(dataset.items, bundle, engine.checkpoint, population, train), strict=True)
    print(f"top-10 overlap {np.mean(overlaps):.4f}, least {min(overlaps)}; largest error {max(errors):.5f} of scores "
          f"whose standard deviation is {np.mean(spreads):.2f}")  # fmt: skip
    assert np.mean(overlaps) > 9.98
    assert max(errors) < 2e-3 * np.mean(spreads)


def compare(items, bundle, checkpoint, population, train):
    """Yields for each client the items that both lists of ten hold, the largest difference, and the scores' spread."""
    recommenders = []
    for precision in ("fp32", "fp16"):
        built = build("fedncf", items, bundle.manifest.plan, 0, precision=precision)
        graphs = [built.blob(graph.resource) for graph in built.manifest.graphs]
        recommenders.append(ServedModel(built.manifest, checkpoint, *graphs))
    for client, seen in enumerate(train):
        private = {name: column[client] for name, column in population.state.values.items()}
        single, half = (dict(graph.recommend(len(items), seen, private)) for graph in recommenders)
        overlap = len(set(list(single)[:10]) & set(list(half)[:10]))
        yield overlap, max(abs(single[row] - half[row]) for row in single), np.std(list(single.values()))
