"""Engines with every executor on the same task."""

from functools import partial

import numpy as np
import pytest

from export.bundle import build
from fedau2.wire import blobs
from simulator.engines import batched
from simulator.engines.batched import BatchedEngine
from simulator.engines.executors import processes
from simulator.population.population import Population
from tests import plans

CLIENTS = 30


def nothing():
    """Nothing is to be prepared in a worker."""


class Trial:
    """Trains rounds with an executor, and digests all that they leave."""

    def __init__(self, workers, start, model="fedncf", **settings):
        plan = plans.make(model, plans.GENDER, **settings)
        bundle = build(model, [str(item) for item in range(40)], plan, 0)
        interactions = [np.arange(client % 9, client % 9 + 6) for client in range(CLIENTS)]
        genders = ["F" if client % 3 else "M" for client in range(CLIENTS)]
        self.population = Population.create(bundle.manifest, 0, interactions, {"gender": genders})
        checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
        self.engine = BatchedEngine(bundle.manifest, checkpoint, self.population, workers, kernel="torch", start=start)
        self.reports = []

    def round(self, number):
        members = np.random.default_rng(number).choice(CLIENTS, 25, replace=False)
        self.reports.append(self.engine.train_round(members).report.loss)

    def digest(self, rounds=3):
        try:
            for number in range(rounds):
                self.round(number)
        finally:
            self.engine.close()
        tensors = self.engine.snapshot()
        parts = [blobs.pack(tensors["checkpoint"]), blobs.pack(tensors["server"]), self.population.state.pack()]
        return [blobs.sha256(part) for part in parts], np.concatenate(self.reports).tolist()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(batched, "CHUNK", 4)


@pytest.fixture(scope="session")
def start_processes():
    return partial(processes.start, prepare=nothing)
