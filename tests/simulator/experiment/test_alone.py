"""The bounds of a run: all data in one place, and nothing shared."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from client_sdk.kernel.training import Task
from fedau2.wire import blobs
from simulator import load_dataset
from simulator.config.config import Config
from simulator.engines.batched import BatchedEngine
from simulator.errors import ConfigError
from simulator.experiment import assembly
from simulator.experiment.alone import _of_user, train_alone
from simulator.experiment.parts import Parts
from tests.client_sdk.kernel.eager import MODELS
from tests.simulator.quiet import Quiet

SMALL = {
    "data.dataset": "synthetic",
    "data.users": 40,
    "data.items": 200,
    "plan.adversaries": "none",
    "plan.local.steps": 1,
    "engine.rounds": 4,
    "evaluation.evaluate_every": 2,
}


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("synthetic", users=40, items=200)


def config_of(model, **settings):
    return Config.of({**SMALL, "plan.model.name": model}, settings)


@pytest.mark.parametrize("model", ["fcf", "fedgnn", "fedvae"])
def test_rounds_of_everybody_are_central_training(model, dataset):
    """Who has all data in one place takes the same steps, here by autograd and PyTorch's own Adam."""
    config = config_of(model)
    parts = Parts.of(config, dataset)
    population = assembly.population_of(parts.bundle, 0, parts.split.train, parts.known)
    task = parts.bundle.manifest
    start = blobs.unpack(parts.bundle.blob(task.checkpoint))
    shared = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    private = {n: torch.tensor(v, requires_grad=True) for n, v in population.state.values.items()}
    everybody = np.arange(len(population))
    engine, users = BatchedEngine(task, start, population), len(everybody)
    server, local = config.plan.server.shared, config.plan.local
    steps = [torch.optim.Adam(shared.values(), server.learning_rate)]
    steps += [torch.optim.Adam(private.values(), local.private_learning_rate)] if private else []
    plan = Task.load(task, start).plan
    for number in range(3):
        cohort = population.cohort(task, number, everybody)
        loss = 0
        for user in everybody:
            own = {name: value[user] for name, value in private.items()}
            loss += MODELS[model].loss(shared, own, cohort.samples[user][0], plan, number)[0]
        gradients = torch.autograd.grad(loss, [*shared.values(), *private.values()])
        for value, gradient in zip((*shared.values(), *private.values()), gradients, strict=True):
            value.grad = gradient
        for value in shared.values():
            value.grad /= users  # the server steps on the mean of contributions
        for step in steps:
            step.step()
        engine.train_round(everybody)
    # Where a gradient is rounding alone, Adam makes a whole step of it.
    for name, value in shared.items():
        close = np.isclose(engine.checkpoint[name], value.detach().numpy(), rtol=1e-3, atol=1e-4)
        assert close.mean() > 0.98, name


def test_the_metrics_are_those_of_a_run(dataset):
    alone = train_alone(config_of("fcf"), dataset, Quiet())
    assert alone["round"] in (2, 4)
    assert set(alone) == {"round", "hr@10", "ndcg@10", "hr@10_full", "ndcg@10_full"}
    assert 0 <= alone["ndcg@10"] <= alone["hr@10"] <= 1


@pytest.mark.parametrize("model", ["fcf", "fedvae"])
def test_who_trains_alone_learns_from_nobody_else(model, dataset):
    config = config_of(model)
    parts = Parts.of(config, dataset)
    others = replace(parts.split, train=[parts.split.train[0], *parts.split.train[:0:-1]])

    def ranks(split):
        population = assembly.population_of(parts.bundle, 0, split.train, parts.known)
        return [
            (number, *(part.full.item() for part in both))
            for number, both in _of_user(config, replace(parts, split=split), population, 0)
        ]

    assert ranks(parts.split) == ranks(others)
    assert [number for number, *_ in ranks(others)] == [2, 4]


def test_an_adversary_has_nothing_to_learn_alone(dataset):
    with pytest.raises(ConfigError, match="choose the preset original"):
        train_alone(config_of("fcf", **{"plan.adversaries": "all"}), dataset, Quiet())
