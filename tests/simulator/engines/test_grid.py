"""Rounds of integers on the batched engine: plain rounds to rounding, and the same bytes for any workers."""

import math

import numpy as np
import pytest

from export import sums
from export.bundle import build
from fedau2.wire import blobs, manifest
from fedau2.wire.secure import packing
from fedau2.wire.secure.layout import Layout
from simulator.engines import on_sums
from simulator.engines.batched import BatchedEngine
from simulator.experiment.calibration import calibrate
from simulator.population.population import Population
from tests import plans
from tests.simulator.settings import make

CLIENTS = 70
SETTINGS = {"rounds": 4, "fraction": 1.0, "workers": 1}


@pytest.fixture(scope="module")
def bundle():
    return build("fedncf", [str(item) for item in range(40)], plans.make("fedncf", plans.GENDER), 0, training=False)


def population_of(bundle):
    rng = np.random.default_rng(3)
    interactions = [np.sort(rng.choice(40, 6, replace=False)) for _ in range(CLIENTS)]
    values = [["M", "F", None][client % 3] for client in range(CLIENTS)]
    return Population.create(bundle.manifest, 0, interactions, {"gender": values})


def engine_of(bundle, workers=1):
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population_of(bundle), workers)


def wide(policy, task):
    """The policy with 16 bits, four steps coarser, and without a norm that clips."""
    grids = {
        name: {
            "exponent": policy.grids[name].exponent - 2,
            "clip": math.isqrt((2**15 - 1) ** 2 * math.prod(spec.shape)),
        }
        for name, spec in manifest.shared(task).items()
    }
    changes = {"value_bits": 16, "modulus_bits": 28, "grids": grids}
    return sums.Policy.model_validate(policy.model_dump(mode="json") | changes)


def calibrated(bundle, row_threshold, **more):
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    settings = make(row_threshold=row_threshold, **SETTINGS, **more).engine
    return calibrate(settings, bundle.manifest, checkpoint, population_of(bundle)).policy(settings, bundle.manifest)


def test_the_mean_of_a_round_is_the_plain_one_to_half_a_step(bundle):
    members = np.arange(CLIENTS)
    plain = engine_of(bundle).collect(members)[0].mean()
    policy = wide(calibrated(bundle, row_threshold=0), bundle.manifest)
    hidden = sums.add(bundle, policy)
    total, _ = engine_of(hidden).collect(members)
    assert not total.total()[Layout.of(hidden.manifest).clipped].any()
    grid = total.mean()
    assert grid.keys() == plain.keys()
    for name, value in plain.items():
        step = 2.0 ** -policy.grids[name].exponent
        assert np.abs(value).max() > step
        assert np.abs(grid[name] - value).max() <= step / 2 + 1e-6 * np.abs(value).max()


def test_any_number_of_workers_gives_the_same_bytes(bundle):
    hidden = sums.add(bundle, calibrated(bundle, row_threshold=10))
    checkpoints = []
    for workers in (1, 3):
        engine = engine_of(hidden, workers)
        for _ in range(3):
            engine.train_round(np.arange(CLIENTS))
        checkpoints.append(blobs.pack(engine.checkpoint))
    assert checkpoints[0] == checkpoints[1]


def test_training_on_a_calibrated_grid_stays_near_plain_training(bundle):
    plain, grid = engine_of(bundle), engine_of(sums.add(bundle, calibrated(bundle, row_threshold=0)))
    start = plain.checkpoint
    for _ in range(3):
        for engine in (plain, grid):
            engine.train_round(np.arange(CLIENTS))
    for name in ("item_gmf", "item_mlp", "mlp.0.weight"):
        moved = np.linalg.norm(plain.checkpoint[name] - start[name])
        assert np.linalg.norm(grid.checkpoint[name] - plain.checkpoint[name]) < 0.5 * moved


def test_a_contribution_has_the_bytes_of_its_layout(bundle):
    hidden = sums.add(bundle, calibrated(bundle, row_threshold=10))
    engine = engine_of(hidden)
    assert engine.traffic(1).uploaded == packing.size(Layout.of(hidden.manifest).size, 24)


def test_a_calibrated_policy_fits_its_measurements(bundle):
    policy = calibrated(bundle, row_threshold=10)
    assert policy.minimum == CLIENTS
    assert policy.modulus_bits >= policy.value_bits + 7 + 2
    assert 6 < policy.touched_rows <= 30
    assert policy.grids.keys() == manifest.shared(bundle.manifest).keys()
    task = sums.add(bundle, policy).manifest
    assert list(task.required_features) == ["secure-sums"]
    assert sums.Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize("noise_multiplier", [0.02, 1.0, 300.0])
def test_noise_of_any_size_fits_a_calibrated_policy(bundle, noise_multiplier):
    policy = calibrated(bundle, 10, noise_on_sums=noise_multiplier)
    sums.add(bundle, policy)
    assert policy.row_threshold == 0
    assert policy.max_participations == 4
    assert math.fsum(grid.noise_share**2 for grid in policy.grids.values()) == pytest.approx(1)
    without = calibrated(bundle, 0, max_participations=4)  # so that the same clients are measured
    for name, grid in policy.grids.items():
        coarser = grid.exponent - without.grids[name].exponent
        assert coarser <= 0
        assert grid.clip == pytest.approx(without.grids[name].clip * 2.0**coarser, rel=0.05, abs=1)


def test_a_noisy_round_is_the_exact_one_and_the_noise_of_its_seed_and_round(bundle):
    policy = calibrated(bundle, 0, noise_on_sums=0.5)
    noisy = sums.add(bundle, policy)
    silent = sums.add(bundle, sums.Policy.model_validate(policy.model_dump(mode="json") | silence(policy)))
    members = np.arange(CLIENTS)
    (with_noise, _), (without, _) = engine_of(noisy).collect(members), engine_of(silent).collect(members)
    layout = Layout.of(noisy.manifest)
    drawn = on_sums.drawn(layout, noisy.manifest.secure_sums, 0, 0)
    assert (with_noise.total()[layout.touched.stop :] == (without.total() + drawn)[layout.touched.stop :]).all()
    assert with_noise.total()[0] == CLIENTS
    assert not with_noise.total()[4 : layout.touched.stop].any()
    assert with_noise.variances()
    assert (drawn != on_sums.drawn(layout, noisy.manifest.secure_sums, 0, 1)).any()
    assert (drawn != on_sums.drawn(layout, noisy.manifest.secure_sums, 1, 0)).any()


def silence(policy):
    """What is left of a policy without its noise."""
    grids = {name: grid.model_dump() | {"noise_share": 0.0} for name, grid in policy.grids.items()}
    return {"noise_multiplier": 0.0, "grids": grids}


def test_noise_corrects_the_server_step(bundle):
    noisy = sums.add(bundle, calibrated(bundle, 0, noise_on_sums=1.0))
    members, checkpoints = np.arange(CLIENTS), []
    for corrected in (True, False):
        noisy.manifest.plan.server.shared.noise_corrected = corrected
        engine = engine_of(noisy)
        engine.train_round(members)
        checkpoints.append(blobs.pack(engine.checkpoint))
    assert checkpoints[0] != checkpoints[1]
