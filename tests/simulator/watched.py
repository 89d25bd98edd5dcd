"""Fixtures of the tests of attacks and audits: an untrained task whose clients are watched."""

import numpy as np
import pytest

from simulator.audit.audit import _watch
from simulator.audit.registry import chosen
from simulator.audit.request import Request
from simulator.audit.view import still
from tests.simulator.settings import make


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Searches that take no time."""
    monkeypatch.setattr("simulator.attacks.dlg.STEPS", 20)
    monkeypatch.setattr("simulator.attacks.prior.STEPS", 100)


@pytest.fixture
def found(observed, tmp_path):
    """Success by attack and participations, on an untrained task of synthetic clients."""

    def run(names, participations=(1,), users=200, clients=40, **settings):
        task, population = observed(users, **settings)
        request = Request(
            make(dataset="synthetic", users=users, **{"steps": 1, **settings}),
            tmp_path,
            None,
            chosen(names),
            participations=participations,
            clients=clients,
            splits=2,
        )
        watch, runner = _watch(request, task, population)
        still(watch, task, range(3, 3 + runner.rounds), runner)
        return {(each.attack, each.participations): each.score for each in runner.findings()}

    return run


@pytest.fixture
def draw():
    return np.random.default_rng(0)
