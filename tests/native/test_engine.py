"""The batched engine with the native kernel."""

import numpy as np
import pytest

from fedau2.wire import blobs, erasers, manifest
from simulator.engines.batched import BatchedEngine
from simulator.engines.kernels import PYTORCH
from simulator.errors import ConfigError
from simulator.population.columns import MappedState
from simulator.population.population import Population
from tests.client_sdk.kernel.test_gradients import ITEMS, make_task
from tests.simulator.engines import test_eraser

CLIENTS = 12


@pytest.fixture(params=["fedncf", "fedrap", "fedvae"])
def make_engine(request, package):
    return engines_of(request.param)


def engines_of(model):
    task = make_task(model)
    checkpoint = {name: tensor.numpy() for name, tensor in (task.shared | task.adversary).items()}

    def make(kernel, mapped=None, **options):
        rng = np.random.default_rng(0)
        interactions = [np.sort(rng.choice(ITEMS, rng.integers(3, 15), replace=False)) for _ in range(CLIENTS)]
        genders = [("M", "F", None)[i] for i in rng.choice(3, CLIENTS)]
        specs = manifest.private(task.manifest)
        keys = Population.create(task.manifest, 0, interactions, {"gender": genders}).keys
        state = MappedState.create(mapped, specs, keys) if mapped else None
        population = Population.create(task.manifest, 0, interactions, {"gender": genders}, state)
        return BatchedEngine(task.manifest, checkpoint, population, kernel=kernel, **options), population

    return make


def test_a_round_agrees_with_pytorch(make_engine):
    (ours, our_clients), (theirs, their_clients) = make_engine("native"), make_engine("torch")
    members = np.arange(1, CLIENTS)[::-1]
    totals = []
    for engine in (ours, theirs):
        total, report = engine.collect(members)
        totals.append(total.mean())
        np.testing.assert_array_equal(report.members, members[::-1])
    assert totals[0].keys() == totals[1].keys()
    for name, expected in totals[1].items():
        assert np.abs(totals[0][name] - expected).max() <= 1e-5 * np.abs(expected).max()
    for part in ("values", "first", "second"):
        for name, expected in getattr(their_clients.state, part).items():
            actual = getattr(our_clients.state, part)[name]
            assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_number_of_workers_does_not_change_a_byte(make_engine, monkeypatch):
    monkeypatch.setattr("simulator.engines.batched.CHUNK", 3)
    results = []
    for workers in (1, 2, 5):
        engine, population = make_engine("native", workers=workers)
        for _ in range(4):
            engine.train_round(np.arange(CLIENTS)[::-1])
        results.append((blobs.pack(engine.checkpoint), population.state.pack()))
    assert results[0] == results[1] == results[2]


def test_the_native_kernel_is_chosen_by_itself(make_engine):
    results = []
    for kernel in ("auto", "native", "torch"):
        engine, population = make_engine(kernel)
        engine.train_round(np.arange(CLIENTS))
        results.append((blobs.pack(engine.checkpoint), population.state.pack()))
        assert (engine._job.kernel is PYTORCH) == (kernel == "torch")
    assert results[0] == results[1]


@pytest.mark.parametrize("model", ["fcf", "pfedrec", "fedgnn"])
def test_a_model_that_the_library_does_not_know_is_left_to_pytorch(model, package, recwarn):
    results, make = [], engines_of(model)
    for kernel in ("auto", "torch"):
        engine, population = make(kernel)
        engine.train_round(np.arange(CLIENTS))
        results.append((blobs.pack(engine.checkpoint), population.state.pack()))
        assert engine._job.kernel is PYTORCH
    assert results[0] == results[1]
    assert not recwarn.list
    with pytest.raises(ConfigError, match=f"does not know the model '{model}'.* set engine.kernel to torch"):
        make("native")


def test_mapped_private_state_gives_the_same_bytes(make_engine, tmp_path):
    results = []
    for mapped in (None, tmp_path):
        engine, population = make_engine("native", mapped)
        for _ in range(2):
            engine.train_round(np.arange(0, CLIENTS, 2))
        results.append((blobs.pack(engine.checkpoint), population.take(np.arange(CLIENTS)).pack()))
    assert results[0] == results[1]


@pytest.mark.parametrize("model", ["fedncf", "fedvae"])
def test_an_eraser_has_the_sums_that_it_has_with_pytorch(model, package):
    bundle = test_eraser.make(model, training=False, serving=False)
    trained = test_eraser.trained(bundle, test_eraser.GENDERS, rounds=4)
    collected = []
    for kernel in ("native", "torch"):
        engine = test_eraser.engine_of(bundle, test_eraser.GENDERS, kernel=kernel)
        for name, column in trained._population.state.values.items():
            engine._population.state.values[name][:] = column
        engine.restore({"checkpoint": trained.checkpoint, "server": {}}, 4)
        assert engine._job.kernel.name == kernel
        total, _ = engine.collect(np.arange(1, test_eraser.CLIENTS)[::-1])
        collected.append(total.mean())
    for name in erasers.tensors(bundle.manifest.plan):
        actual, expected = (mean[name] for mean in collected)
        assert expected.any()
        assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()
