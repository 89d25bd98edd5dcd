"""Rounds with matchings on the batched engine."""

import numpy as np
import pytest

from client_sdk.kernel import fedvae
from client_sdk.matching import Published
from client_sdk.plan import MatchingPlan
from export import sums
from export.bundle import build
from fedau2.wire import blobs, matchings
from simulator.engines.batched import BatchedEngine
from simulator.experiment.calibration import calibrate
from simulator.population.population import Population
from tests import plans
from tests.simulator.settings import make

CLIENTS, ITEMS = 66, 40
WIDTHS = {"fedvae": fedvae.Widths(hidden=16, latent=6)}
MEANS = matchings.means("matching-gender")


def bundle_of(model="fedvae", **settings):
    chosen = {"matchings": [plans.GENDER], "matching__frequencies": 16, "matching__minimum": 2, **settings}
    plan = plans.make(model, **chosen)
    return build(model, [str(item) for item in range(ITEMS)], plan, 0, WIDTHS.get(model), training=False, serving=False)


def engine_of(bundle, values, workers=1):
    rng = np.random.default_rng(3)
    interactions = [np.sort(rng.choice(ITEMS, 6, replace=False)) for _ in range(CLIENTS)]
    population = Population.create(bundle.manifest, 0, interactions, {"gender": values})
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population, workers, kernel="torch")


def trained(bundle, values, rounds=4, workers=1):
    engine = engine_of(bundle, values, workers)
    for _ in range(rounds):
        engine.train_round(np.arange(CLIENTS))
    return engine


GENDERS = [["M", "F", None][client % 3] for client in range(CLIENTS)]


@pytest.mark.parametrize("model", ["fedncf", "fedvae"])
def test_the_result_does_not_depend_on_workers(model):
    bundle = bundle_of(model)
    one, two = (trained(bundle, GENDERS, workers=workers) for workers in (1, 2))
    assert blobs.pack(one.checkpoint) == blobs.pack(two.checkpoint)


def test_shares_are_those_of_classes_and_of_users_who_told_nothing():
    shares = trained(bundle_of(matching__rate=0.5), GENDERS).checkpoint[MEANS][:, 0]
    assert shares == pytest.approx([3 / 4 / 3] * 3, rel=1e-3)


def test_the_only_user_of_a_class_is_held_back():
    alone = ["F" if client == 0 else "M" for client in range(CLIENTS)]
    means = trained(bundle_of(), alone).checkpoint[MEANS]
    assert means[0, 0] > 0
    assert not means[1:].any()


def test_a_changed_label_moves_its_user():
    engine = engine_of(bundle_of(matching__rate=1.0), GENDERS)
    for label in ("M", "F"):
        engine._population.attributes["gender"][2] = label
        for _ in range(3):
            engine.train_round(np.arange(CLIENTS))
        shares = engine.checkpoint[MEANS][:, 0]
        assert shares * CLIENTS == pytest.approx([23, 22, 21] if label == "M" else [22, 23, 21], rel=1e-5)


@pytest.mark.parametrize("model", ["fedncf", "fedvae"])
def test_the_weight_alone_changes_what_is_trained(model):
    bundles = [bundle_of(model, matching__weight=weight) for weight in (1e-9, 1e3)]
    light, heavy = (trained(bundle, GENDERS) for bundle in bundles)
    states = [engine._population.state.values or engine.checkpoint for engine in (light, heavy)]
    assert any((states[0][name] != states[1][name]).any() for name in states[0])


def test_classes_come_together():
    """Users of the two classes like different items; without matchings the latent tells them apart."""
    rng = np.random.default_rng(0)
    interactions = [np.sort(rng.choice(20, 6, replace=False) + 20 * (client % 2)) for client in range(CLIENTS)]
    gaps = []
    for weight in (1e-9, 1e3):
        bundle = bundle_of(matching__weight=weight, matching__rate=0.5)
        values = {"gender": [("M", "F")[client % 2] for client in range(CLIENTS)]}
        population = Population.create(bundle.manifest, 0, interactions, values)
        engine = BatchedEngine(
            bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)), population, kernel="torch"
        )
        for _ in range(60):
            engine.train_round(np.arange(CLIENTS))
        means = engine.checkpoint[MEANS].astype(float)
        features = means[:2, 1:] / means[:2, :1]
        gaps.append(np.linalg.norm(features[0] - features[1]))
    assert gaps[1] < gaps[0] / 4


def test_integers_carry_the_statistics_of_states_that_are_tiny_at_first():
    """Grids are measured over a whole run, and private state is a hundredth of its later size in the first rounds."""
    bundle = bundle_of("fedncf", matching__rate=0.5, local__private_learning_rate=0.03)
    plain, settings = engine_of(bundle, GENDERS), make(rounds=40, fraction=1.0, workers=1, row_threshold=0).engine
    calibration = calibrate(settings, bundle.manifest, plain.checkpoint, engine_of(bundle, GENDERS)._population)
    grid = engine_of(sums.add(bundle, calibration.policy(settings, bundle.manifest)), GENDERS)
    plan = MatchingPlan.of(bundle.manifest.plan.matchings[0])
    for number in range(4):
        for engine in (plain, grid):
            engine.train_round(np.arange(CLIENTS))
        known, seen = (Published.of(plan, engine.checkpoint).map for engine in (plain, grid))
        assert np.linalg.norm(known - seen) <= 0.1 * np.linalg.norm(known)
        assert known.any() == (number > 0)
