"""The naive loop that `fedau2-sim bench` compares with trains its models."""

import numpy as np
import pytest
import torch

from simulator.bench.naive import NaiveRound
from simulator.bench.workloads import NAIVE

ITEMS, CLIENTS = 40, 12


@pytest.fixture(params=NAIVE)
def loop(request):
    """Makes loops that begin in the same state."""

    def make(**options):
        torch.manual_seed(0)
        labels = np.arange(CLIENTS) % 2
        model = NAIVE[request.param](ITEMS)
        return model, NaiveRound(model, ITEMS, labels, **options)

    return make


@pytest.fixture
def interactions():
    rng = np.random.default_rng(0)
    liked = [np.arange(20), np.arange(20, 40)]
    return [np.sort(rng.choice(liked[client % 2], 12, replace=False)) for client in range(CLIENTS)]


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_rounds_lower_the_loss(loop, interactions):
    model, naive = loop()
    losses = []
    for _ in range(60):
        sample = naive.sample(interactions[0], model.negatives)
        with torch.no_grad():
            losses.append(float(model.loss(naive.private(0), *sample)[0]))
        naive.run(np.arange(CLIENTS), interactions)
    assert np.mean(losses[-10:]) < 0.98 * np.mean(losses[:10])


def test_copies_of_all_modules_change_the_cost_and_not_the_result(loop, interactions):
    results = []
    for copies in (False, True):
        model, naive = loop(copies=copies)
        before = state(model)
        for _ in range(2):
            naive.run(np.arange(CLIENTS), interactions)
        results.append(state(model))
    assert any((results[0][name] != value).any() for name, value in before.items())
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value)


def test_a_sample_is_the_positives_and_so_many_negatives_for_each(loop, interactions):
    _, naive = loop()
    items, labels = naive.sample(interactions[0], 4)
    assert items[labels == 1].tolist() == interactions[0].tolist()
    assert len(items) == 5 * len(interactions[0])
    assert not np.isin(items[labels == 0], interactions[0]).any()
