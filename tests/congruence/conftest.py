import asyncio

import numpy as np
import pytest

from client_sdk.kernel import fcf, fedgnn, fedrap, fedvae, pfedrec
from export.bundle import build
from fedau2.wire import blobs
from simulator.engines.batched import BatchedEngine
from simulator.engines.connections import InProcessConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine
from simulator.population.population import Population
from tests import plans

CLIENTS, ITEMS, COHORT = 12, 40, 5
AGES = ("young", "middle", "old")

WIDTHS = {
    "fedrap": fedrap.Widths(latent=8),
    "fedvae": fedvae.Widths(hidden=16, latent=6),
    "fcf": fcf.Widths(latent=8),
    "pfedrec": pfedrec.Widths(latent=8),
    "fedgnn": fedgnn.Widths(latent=8),
}
"""Where they are not the paper's."""


@pytest.fixture
def make_bundle():
    def make(head="dsvae", model="fedncf", entries=(plans.GENDER,), adversary=None, training=False, **settings):
        """`adversary` holds what all adversaries have in common beside their head, in a plan's words."""
        chosen = [] if head == "none" else [{**entry, "head": head, **(adversary or {})} for entry in entries]
        plan = plans.make(model, *chosen, **settings)
        return build(model, [f"item-{i}" for i in range(ITEMS)], plan, 0, WIDTHS.get(model), training=training)

    return make


@pytest.fixture
def make_population():
    def make(bundle, seed=0, weighted=False):
        rng = np.random.default_rng(seed)
        interactions = [np.sort(rng.choice(ITEMS, rng.integers(3, 15), replace=False)) for _ in range(CLIENTS)]
        genders = [("M", "F", None)[i] for i in rng.choice(3, CLIENTS, p=[0.5, 0.4, 0.1])]
        ages = [(*AGES, None)[i] for i in rng.choice(4, CLIENTS)]
        weights = [rng.uniform(0.1, 3, len(rows)).astype(np.float32) for rows in interactions] if weighted else None
        values = {"gender": genders, "age": ages}
        return Population.create(bundle.manifest, seed, interactions, values, weights=weights)

    return make


@pytest.fixture
def cohorts():
    rng = np.random.default_rng(3)
    return [rng.choice(CLIENTS, COHORT, replace=False) for _ in range(40)]


def initial(bundle):
    return blobs.unpack(bundle.blobs[bundle.manifest.checkpoint.sha256])


@pytest.fixture
def batched():
    def make(bundle, population, **options):
        return BatchedEngine(bundle.manifest, initial(bundle), population, **options)

    return make


@pytest.fixture
def fleet(tmp_path):
    """Starts fleets and closes them at the end."""
    started = []

    def make(bundle, population, transport="inproc", rounds=40, folder="coordinator", trainer=None):
        state = tmp_path / folder

        async def connect():
            if transport == "inproc":
                return await InProcessConnection.open(state)
            return await CoordinatorProcess(state).connect()

        engine = FleetEngine.start(connect, bundle, population, COHORT, rounds, trainer)
        started.append(engine)
        return engine

    yield make
    for engine in started:
        engine.close()


@pytest.fixture
def loop():
    with asyncio.Runner() as runner:
        yield runner
