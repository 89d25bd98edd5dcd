"""Rounds with an eraser on the batched engine, and what devices show of its maps."""

import numpy as np
import pytest

from client_sdk import erasing
from client_sdk.kernel import fedvae
from client_sdk.onnx.served_model import ServedModel
from export.bundle import build
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND
from fedau2.wire import blobs, erasers
from simulator.engines.batched import BatchedEngine
from simulator.evaluation.scoring import Scorer
from simulator.population.population import Population
from simulator.unlearning import on_devices, renewal
from tests import plans

CLIENTS, ITEMS = 120, 40


@pytest.fixture(scope="module")
def bundle():
    settings = {"eraser__frequencies": 16, "eraser__minimum": 2, "eraser__steps": 3, "eraser__rate": 1.0}
    plan = plans.make("fedvae", erased=[plans.GENDER], **settings)
    return build("fedvae", [str(item) for item in range(ITEMS)], plan, 0, fedvae.Widths(hidden=16, latent=6))


def engine_of(bundle, values, workers=1):
    """Clients of whom each class likes other items."""
    rng = np.random.default_rng(3)
    likes = [np.where(np.arange(ITEMS) % 2 == (value == "F"), 50.0, 1.0) for value in values]
    interactions = [np.sort(rng.choice(ITEMS, 6, replace=False, p=like / like.sum())) for like in likes]
    population = Population.create(bundle.manifest, 0, interactions, {"gender": values})
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population, workers, kernel="torch")


def trained(bundle, values, rounds=6, workers=1):
    engine = engine_of(bundle, values, workers)
    for _ in range(rounds):
        engine.train_round(np.arange(CLIENTS))
    return engine


GENDERS = [["M", "F", None][client % 3] for client in range(CLIENTS)]


@pytest.fixture(scope="module")
def engine(bundle):
    return trained(bundle, GENDERS)


def scorer_of(bundle, engine, addends=None):
    population = engine._population
    return Scorer(bundle.manifest, engine.checkpoint, {}, population.interactions, addends)


def test_the_result_does_not_depend_on_workers(bundle, engine):
    assert blobs.pack(trained(bundle, GENDERS, workers=2).checkpoint) == blobs.pack(engine.checkpoint)


def test_classes_come_together_for_users_who_tell_nothing_too(bundle, engine):
    latent = scorer_of(bundle, engine).states(fedvae.LATENT)
    moved = renewal.applied(on_devices.maps(bundle.manifest, engine.checkpoint), latent)
    told = [np.array([value == name for value in GENDERS]) for name in ("M", "F")]
    gap, left = (state[told[0]].mean(0) - state[told[1]].mean(0) for state in (latent, moved))
    assert np.linalg.norm(left) < 0.5 * np.linalg.norm(gap)
    silent = np.array([value is None for value in GENDERS])
    assert (moved[silent] != latent[silent]).any(1).all()


def test_a_device_without_pytorch_shows_what_the_simulator_measures(bundle, engine):
    graphs = [bundle.graph(kind) for kind in (GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND)]
    served = ServedModel(bundle.manifest, engine.checkpoint, *graphs)
    plan, maps = erasing.of(bundle.manifest, engine.checkpoint)
    keys, latent = engine._population.keys, scorer_of(bundle, engine).states(fedvae.LATENT)
    moved = renewal.applied(on_devices.maps(bundle.manifest, engine.checkpoint), latent)
    moved = moved + np.stack([maps.noise(plan, key) for key in keys])
    scorer = scorer_of(bundle, engine, {fedvae.LATENT: moved - latent})
    for client in (0, 1, 2):
        scores = served.scores(engine._population.interactions[client], served.floor(keys[client]))
        np.testing.assert_allclose(scores, scorer(np.array([client]))[0], rtol=1e-3, atol=1e-5)


def test_training_does_not_see_the_maps(bundle, engine):
    plain = build(
        "fedvae", [str(item) for item in range(ITEMS)], plans.make("fedvae"), 0, fedvae.Widths(hidden=16, latent=6),
        training=False, serving=False,
    )  # fmt: skip
    for name, value in trained(plain, GENDERS).checkpoint.items():
        np.testing.assert_array_equal(value, engine.checkpoint[name])


def test_the_only_user_of_a_class_changes_no_map(bundle):
    alone = ["F" if client == 0 else "M" for client in range(CLIENTS)]
    assert not trained(bundle, alone).checkpoint[erasers.LINEAR].any()


def test_a_changed_label_changes_the_maps(bundle):
    before, after = engine_of(bundle, list(GENDERS)), engine_of(bundle, list(GENDERS))
    after._population.attributes["gender"][0] = "F"
    for engine in (before, after):
        for _ in range(3):
            engine.train_round(np.arange(CLIENTS))
    assert (before.checkpoint[erasers.LINEAR] != after.checkpoint[erasers.LINEAR]).any()
