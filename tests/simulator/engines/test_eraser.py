"""Rounds with an eraser on the batched engine, and what devices show of its maps."""

import numpy as np
import pytest

from client_sdk.kernel import fcf, fedgnn, fedncf, fedvae, pfedrec
from client_sdk.onnx.served_model import ServedModel
from export.bundle import build
from fedau2.v1.task_pb2 import GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND
from fedau2.wire import blobs, encodings, erasers
from simulator.datasets import Attribute
from simulator.datasets.split import Split
from simulator.engines.batched import BatchedEngine
from simulator.evaluation.held_out import Evaluation
from simulator.experiment import after_training
from simulator.experiment.after_training import Measured
from simulator.population.population import Population
from tests import plans

CLIENTS, ITEMS = 120, 40
WIDTHS = {
    "fedvae": fedvae.Widths(hidden=16, latent=6),
    "fedncf": fedncf.Widths(gmf=4, mlp=3, hidden=(4,)),
    "fcf": fcf.Widths(latent=6),
    "pfedrec": pfedrec.Widths(latent=6),
    "fedgnn": fedgnn.Widths(latent=4),
}
SLOWLY = {model: {"local__private_learning_rate": 0.02} for model in WIDTHS if model != "fedvae"}
"""The maps are a round late, so private tensors must not run away from them."""

ITEM_IDS = [str(item) for item in range(ITEMS)]


def make(model, shifts=False, **parts):
    settings = {"eraser__frequencies": 16, "eraser__minimum": 2, "eraser__steps": 3, "eraser__rate": 1.0}
    settings["eraser__shifts"] = shifts
    plan = plans.make(model, erased=[plans.GENDER], **SLOWLY.get(model, {}), **settings)
    return build(model, ITEM_IDS, plan, 0, WIDTHS[model], **parts)


BUNDLES = [*((model, False) for model in WIDTHS), ("fedncf", True), ("fedvae", True)]
"""Recommenders, and whether their erasers have shifts."""


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda made: "-".join((made[0], *(("shifts",) if made[1] else ()))))
def bundle(request):
    model, shifts = request.param
    return make(model, shifts)


def engine_of(bundle, values, workers=1, kernel="torch", **more):
    """Clients of whom each class likes other items."""
    rng = np.random.default_rng(3)
    likes = [np.where(np.arange(ITEMS) % 2 == (value == "F"), 50.0, 1.0) for value in values]
    interactions = [np.sort(rng.choice(ITEMS, 6, replace=False, p=like / like.sum())) for like in likes]
    population = Population.create(bundle.manifest, 0, interactions, {"gender": values})
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population, workers, kernel=kernel, **more)


def trained(bundle, values, rounds=8, workers=1, kernel="torch"):
    engine = engine_of(bundle, values, workers, kernel)
    for _ in range(rounds):
        engine.train_round(np.arange(CLIENTS))
    return engine


GENDERS = [["M", "F", None][client % 3] for client in range(CLIENTS)]


@pytest.fixture(scope="module")
def engine(bundle):
    return trained(bundle, GENDERS)


def shown(bundle, engine):
    """The evaluation, the state as training left it, and as devices show it."""
    population, nobody = engine._population, np.full(CLIENTS, -1)
    split = Split(population.interactions, nobody, nobody, ITEMS, 0)
    evaluation = Evaluation(bundle.manifest, split)
    state = Measured(engine.checkpoint, population.state.values)
    told = {"gender": Attribute(("M", "F"), np.array([plans.GENDER["classes"].index(v) if v else -1 for v in GENDERS]))}
    return evaluation, state, after_training.by_devices(state, evaluation, told, 0, 5)


def beside(state, evaluation):
    return np.concatenate(list(after_training.states_of(state, evaluation).values()), axis=1)


def test_the_result_does_not_depend_on_workers(bundle, engine):
    assert blobs.pack(trained(bundle, GENDERS, workers=2).checkpoint) == blobs.pack(engine.checkpoint)


def test_classes_come_together_for_users_who_tell_nothing_too(bundle, engine):
    evaluation, trained_state, after = shown(bundle, engine)
    before, moved = beside(trained_state, evaluation), beside(after, evaluation)
    spread = before.std(0)
    told = [np.array([value == name for value in GENDERS]) for name in ("M", "F")]
    gap, left = ((state[told[0]].mean(0) - state[told[1]].mean(0)) / spread for state in (before, moved))
    assert np.linalg.norm(left) < 0.6 * np.linalg.norm(gap)
    silent = np.array([value is None for value in GENDERS])
    assert (moved[silent] != before[silent]).any(1).all()


def test_a_device_without_pytorch_shows_what_the_simulator_measures(bundle, engine):
    graphs = [bundle.graph(kind) for kind in (GRAPH_KIND_PREPARE, GRAPH_KIND_RECOMMEND)]
    served, population = ServedModel(bundle.manifest, engine.checkpoint, *graphs), engine._population
    evaluation, state, after = shown(bundle, engine)
    scorer, raw = after.scorer(evaluation), state.scorer(evaluation)
    for client in (0, 1, 2):
        private = {name: column[client] for name, column in population.state.values.items()}
        known = {} if GENDERS[client] is None else {"erased-gender": plans.GENDER["classes"].index(GENDERS[client])}
        given = private | served.erasing(population.keys[client], known, 5)
        scores = served.scores(population.interactions[client], given)
        np.testing.assert_allclose(scores, scorer(np.array([client]))[0], rtol=1e-3, atol=1e-5)
        assert np.abs(scores - raw(np.array([client]))[0]).max() > 1e-4


def test_training_does_not_see_the_maps(bundle, engine):
    model = bundle.manifest.model
    plan = plans.make(model, **SLOWLY.get(model, {}))
    plain = build(model, ITEM_IDS, plan, 0, WIDTHS[model], training=False, serving=False)
    without = trained(plain, GENDERS)
    for name, value in without.checkpoint.items():
        np.testing.assert_array_equal(value, engine.checkpoint[name])
    for name, column in without._population.state.values.items():
        np.testing.assert_array_equal(column, engine._population.state.values[name])


def test_the_only_user_of_a_class_changes_no_map(bundle):
    alone = ["F" if client == 0 else "M" for client in range(CLIENTS)]
    assert not trained(bundle, alone, rounds=4).checkpoint[erasers.LINEAR].any()


def test_a_changed_label_changes_the_maps(bundle):
    before, after = engine_of(bundle, list(GENDERS)), engine_of(bundle, list(GENDERS))
    after._population.attributes["gender"][0] = "F"
    for engine in (before, after):
        for _ in range(3):
            engine.train_round(np.arange(CLIENTS))
    assert (before.checkpoint[erasers.LINEAR] != after.checkpoint[erasers.LINEAR]).any()


@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_clients_get_exact_maps_in_every_encoding(encoding):
    exact = trained(make("fcf", training=False, serving=False), GENDERS)
    encoded = engine_of(make("fcf", training=False, serving=False), GENDERS, encoding=encodings.NAMES[encoding])
    encoded.restore(exact.snapshot(), 8)
    assert encoded.checkpoint[erasers.STEPS].any()
    for name in erasers.tensors(encoded._manifest.plan):
        assert encoded.checkpoint[name].tobytes() == exact.checkpoint[name].tobytes()
