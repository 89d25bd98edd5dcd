"""An erasure that is made again while training goes on."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel import fedncf, fedvae
from export.bundle import build
from fedau2.wire import blobs
from simulator.datasets import Attribute
from simulator.engines import batched
from simulator.engines.batched import BatchedEngine
from simulator.engines.executors import processes
from simulator.engines.executors.threads import Threads
from simulator.evaluation.scoring import Scorer
from simulator.population.population import Population
from simulator.unlearning import erasure
from simulator.unlearning.renewal import Renewal
from tests import plans

CLIENTS, ITEMS = 120, 40
WIDTHS = {"fedvae": fedvae.Widths(hidden=16, latent=6), "fedncf": fedncf.Widths(gmf=4, mlp=6, hidden=(8,))}


def attribute(labels):
    return Attribute(("a", "b", "c"), np.asarray(labels, np.int64))


LABELS = np.arange(CLIENTS) % 3 - 1
"""A third of the clients tell nothing, and nobody has the third class."""


def engine_of(model, labels=LABELS, every=1, kind="1.0", workers=1, start=Threads):
    plan = plans.make(model)
    bundle = build(model, list(map(str, range(ITEMS))), plan, 0, WIDTHS[model], training=False, serving=False)
    rng = np.random.default_rng(3)
    interactions = [
        np.unique(rng.integers(0, ITEMS // 2, 8) + (ITEMS // 2 if label == 1 else 0)) for label in np.abs(labels)
    ]
    population = Population.create(bundle.manifest, 0, interactions, {})
    renewal = Renewal(every, kind, {"kind": attribute(labels)}, seed=5)
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(
        bundle.manifest, checkpoint, population, workers, kernel="torch", start=start, renewal=renewal
    )


def states(engine):
    population = engine._population
    if population.state.values:
        return erasure.joined(population.state.values)
    (latent,) = Scorer(engine._manifest, engine.checkpoint, {}, population.interactions).embedding().values()
    return latent


def gap(features, labels):
    means = [features[labels == number].mean(0) for number in (0, 1)]
    return np.abs(means[0] - means[1]).max() / features.std()


@pytest.mark.parametrize("model", ["fedvae", "fedncf"])
def test_at_strength_one_the_classes_of_all_who_took_part_have_one_mean_whenever_it_is_due(model):
    engine = engine_of(model, every=2)
    gaps = []
    for number in range(6):
        engine.train_round(np.arange(number % 2, CLIENTS, 2))
        gaps.append(gap(states(engine), LABELS))
    assert max(gaps[1::2]) < 0.01
    assert min(gaps[::2]) > 0.02
    engine.close()


@pytest.mark.parametrize("model", ["fedvae", "fedncf"])
def test_workers_and_executors_give_the_same_bytes(model, monkeypatch):
    monkeypatch.setattr(batched, "CHUNK", 16)
    found = set()
    for workers, start in ((1, Threads), (3, Threads), (2, partial(processes.start, prepare=_nothing))):
        engine = engine_of(model, kind="auto", workers=workers, start=start)
        for number in range(3):
            engine.train_round(np.arange(number, CLIENTS, 2))
        engine.close()
        found.add(blobs.pack(engine.checkpoint) + engine._population.state.pack())
    assert len(found) == 1


def _nothing():
    """Nothing is to be prepared in a worker."""


def renewal_of(labels, kind="1.0"):
    return Renewal(1, kind, {"kind": attribute(labels)}, seed=5)


def features(seed, labels=LABELS, width=5):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(len(labels), width)) + 2 * rng.normal(size=(4, width))[labels]).astype(np.float32)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_class_of_one_user_changes_nothing_but_that_its_user_takes_no_part(seed):
    x, alone, silent = features(seed), LABELS.copy(), LABELS.copy()
    alone[0], silent[0] = 2, -1
    one, other = (renewal_of(labels).fitted(x, rounds=3) for labels in (alone, silent))
    np.testing.assert_array_equal(one(x), other(x))


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["auto", "0.5"]))
@settings(max_examples=20, deadline=None)
def test_a_users_own_label_does_not_decide_how_its_state_is_moved(seed, kind):
    x = features(seed)
    x[1] = x[0]
    for labels in (LABELS, np.where(np.arange(CLIENTS) == 1, -1, LABELS)):
        moved = renewal_of(labels, kind).fitted(x, rounds=1)(x)
        np.testing.assert_array_equal(moved[0], moved[1])


def test_a_class_that_dies_out_leaves_nothing_to_erase():
    dying = np.where(LABELS == 1, -1, LABELS)
    assert renewal_of(dying).fitted(features(1), rounds=1) is None
    engine = engine_of("fedncf", labels=dying)
    plain = engine_of("fedncf", labels=dying, every=10)
    for each in (engine, plain):
        each.train_round(np.arange(CLIENTS))
        each.close()
    np.testing.assert_array_equal(states(engine), states(plain))


def test_what_the_classes_alone_tell_is_fitted_whatever_the_others_do():
    """Users who take no part are moved, and do not change the map."""
    x = features(2)
    others = x.copy()
    others[LABELS < 0] *= 5
    one, other = (renewal_of(LABELS).fitted(each, rounds=1) for each in (x, others))
    np.testing.assert_array_equal(one.removed, other.removed)
    assert (one(x)[LABELS < 0] != x[LABELS < 0]).any()
