"""Rounds of integers by the library: NumPy's bytes from the same contributions, for any number of workers."""

import math

import numpy as np
import pytest

from export import sums
from export.bundle import build
from export.sums import Policy, TensorGrid
from fedau2 import native
from fedau2.wire import blobs, manifest
from fedau2.wire.secure.layout import Layout
from simulator.engines.batched import TOGETHER, BatchedEngine
from simulator.population.population import Population
from tests import plans
from tests.congruence.test_secure import WIDTHS

CLIENTS, ITEMS = TOGETHER + 5, 40


@pytest.fixture(params=["fedncf", "fedrap", "fedvae"])
def make_engine(request, package):
    """Makes an engine of a task with secure sums, whose clips are met by some clients."""
    plan = plans.make(request.param, {**plans.GENDER, "head": "dsvae"}, server__clip_norm=0)
    bundle = build(request.param, [str(i) for i in range(ITEMS)], plan, 0, WIDTHS.get(request.param), training=False)
    sizes = {name: math.prod(spec.shape) for name, spec in manifest.shared(bundle.manifest).items()}
    grids = {name: TensorGrid(exponent=12, clip=min(2**11, math.isqrt(n * 4095**2))) for name, n in sizes.items()}
    policy = Policy(
        modulus_bits=24, value_bits=14, minimum=64, row_threshold=0, max_participations=0, touched_rows=10.0,
        grids=grids,
    )  # fmt: skip
    hidden = sums.add(bundle, policy).manifest

    def make(kernel="native", **options):
        rng = np.random.default_rng(0)
        interactions = [np.sort(rng.choice(ITEMS, rng.integers(3, 15), replace=False)) for _ in range(CLIENTS)]
        values = {"gender": [("M", "F", None)[i] for i in rng.choice(3, CLIENTS)]}
        checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
        population = Population.create(hidden, 0, interactions, values)
        return BatchedEngine(hidden, checkpoint, population, kernel=kernel, **options)

    return make


def total_of(engine):
    return engine.collect(np.arange(CLIENTS))[0].total()


@pytest.mark.parametrize("kernel", ["native", "torch"])
def test_the_sum_is_that_of_numpy(make_engine, monkeypatch, kernel):
    ours = total_of(make_engine(kernel))
    monkeypatch.setattr(native, "arithmetic", lambda: None)
    np.testing.assert_array_equal(ours, total_of(make_engine(kernel)))


def test_the_sum_is_nearly_that_of_clients_one_by_one(make_engine):
    ours, engine = total_of(make_engine()), make_engine("torch")
    theirs, layout = total_of(engine), Layout.of(engine._manifest)
    np.testing.assert_array_equal(ours[layout.head], theirs[layout.head])
    assert 0 < theirs[layout.clipped].sum() < theirs[layout.carried].sum()
    assert np.abs(ours - theirs).max() <= CLIENTS


def test_any_number_of_workers_gives_the_same_bytes(make_engine):
    results = []
    for workers in (1, 3):
        engine = make_engine(workers=workers)
        for _ in range(2):
            engine.train_round(np.arange(CLIENTS)[::-1])
        results.append((blobs.pack(engine.checkpoint), engine._population.state.pack()))
    assert results[0] == results[1]
