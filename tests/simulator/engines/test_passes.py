"""Rounds with passes on the batched engine: what moves in which round, and what stays as it is without them."""

import numpy as np
import pytest

from client_sdk.kernel import fedrap, fedvae
from export.bundle import build
from fedau2 import native
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire import blobs, manifest
from simulator.engines.batched import BatchedEngine
from simulator.population.population import Population
from tests import plans

CLIENTS, ITEMS = 60, 40
WIDTHS = {"fedrap": fedrap.Widths(8), "fedvae": fedvae.Widths(16, 6)}
KERNELS = ["torch", pytest.param("native", marks=pytest.mark.skipif(not native.arithmetic(), reason="not built"))]


def engine_of(model, kernel="torch", workers=1, genders="MF?", entries=(plans.GENDER,), **settings):
    plan = plans.make(model, *entries, **settings)
    bundle = build(model, [str(item) for item in range(ITEMS)], plan, 0, WIDTHS.get(model), training=False)
    rng = np.random.default_rng(3)
    interactions = [np.sort(rng.choice(ITEMS, 6, replace=False)) for _ in range(CLIENTS)]
    values = [None if gender == "?" else gender for gender in genders * CLIENTS][:CLIENTS]
    population = Population.create(bundle.manifest, 0, interactions, {"gender": values})
    return BatchedEngine(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)), population, workers,
                         kernel=kernel)  # fmt: skip


def seen(engine):
    """The recommender with all private state, and everything else that the server serves."""
    scopes = {name: spec.scope for name, spec in manifest.shared(engine._manifest).items()}
    own = {name: value for name, value in engine.checkpoint.items() if scopes[name] == TENSOR_SCOPE_SHARED}
    others = {name: value for name, value in engine.checkpoint.items() if name not in own}
    state = engine._population.state
    parts = {"values": state.values, "first": state.first, "second": state.second, "steps": {"": state.steps}}
    private = {f"{part}.{name}": np.array(value) for part, values in parts.items() for name, value in values.items()}
    return blobs.pack(own | {name: value.astype(np.float32) for name, value in private.items()}), blobs.pack(others)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("model", ["fedncf", "fedrap", "fedvae"])
def test_a_pass_moves_what_unlearns_and_nothing_else(model, kernel):
    matched = {} if model == "fedrap" else {"matchings": [plans.GENDER], "matching__frequencies": 8}
    engine = engine_of(model, kernel, server__passes=2, **matched)
    before = seen(engine)
    for number in range(6):
        engine.train_round(np.arange(0, CLIENTS, 2))
        after = seen(engine)
        assert (after[0] == before[0]) == (number % 3 > 0)
        assert after[1] != before[1]
        before = after


def test_an_eraser_learns_in_passes():
    settings = {"erased": [plans.GENDER], "eraser__frequencies": 8, "eraser__minimum": 2, "eraser__steps": 2}
    engine = engine_of("fedvae", entries=(), server__passes=3, **settings)
    for number in range(8):
        before = seen(engine)
        engine.train_round(np.arange(CLIENTS))
        assert (seen(engine)[0] == before[0]) == (number % 4 > 0)
        assert seen(engine)[1] != before[1]


def test_kernels_agree():
    if not native.arithmetic():
        pytest.skip("the native kernel is not built")
    entries = [{**plans.GENDER, "name": f"of-{width}", "width": width} for width in (4, 32)]
    ours, theirs = (
        engine_of("fedncf", kernel, entries=entries, server__passes=1, adversary__restart_every=2)
        for kernel in ("native", "torch")
    )
    for _ in range(4):
        ours.train_round(np.arange(CLIENTS))
        theirs.train_round(np.arange(CLIENTS))
    for name, value in theirs.checkpoint.items():
        np.testing.assert_allclose(ours.checkpoint[name], value, rtol=0, atol=1e-4 * np.abs(value).max())
    np.testing.assert_array_equal(ours._population.state.steps, theirs._population.state.steps)


def test_the_result_does_not_depend_on_workers():
    packed = []
    for workers in (1, 2):
        engine = engine_of("fedncf", workers=workers, server__passes=1, adversary__restart_every=1)
        for _ in range(4):
            engine.train_round(np.arange(CLIENTS))
        packed.append(seen(engine))
    assert packed[0] == packed[1]


def test_passes_train_an_adversary_of_a_model_that_stands_still():
    """Its loss on the same users falls from pass to pass, and the margin of the true class grows."""
    engine = engine_of("fedncf", genders="MF", entries=[{**plans.GENDER, "head": "mlp"}], server__passes=30)
    engine.train_round(np.arange(CLIENTS))
    margins = [engine.train_round(np.arange(CLIENTS)).report.margin["gender"].mean() for _ in range(30)]
    assert margins[-1] > margins[0] + 1


def test_a_round_in_which_nobody_knows_the_attribute_changes_nothing():
    engine = engine_of("fedncf", genders="?", server__passes=1)
    engine.train_round(np.arange(CLIENTS))
    before = seen(engine)
    engine.train_round(np.arange(CLIENTS))
    assert seen(engine) == before


def test_contributions_of_passes_are_smaller():
    uploads = [engine_of("fedncf", server__passes=passes).traffic(1).uploaded for passes in (0, 1, 3)]
    assert uploads == sorted(uploads, reverse=True)


@pytest.mark.parametrize("model", ["fcf", "pfedrec", "fedncf"])
def test_who_knows_no_attribute_sends_a_few_bytes_in_a_pass(model):
    engine = engine_of(model, genders="?", server__passes=1)
    assert 0 < engine._uploaded_in(1) < 100 < engine._uploaded_in(0)
    assert engine.traffic(1).uploaded == (engine._uploaded_in(0) + engine._uploaded_in(1)) / 2
