"""An erasure that is made again while training goes on."""

from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel import fedncf
from export.bundle import build
from fedau2.wire import blobs
from simulator.datasets import Attribute
from simulator.engines import batched
from simulator.engines.batched import BatchedEngine
from simulator.engines.executors import processes
from simulator.engines.executors.threads import Threads
from simulator.population.population import Population
from simulator.unlearning import erasure
from simulator.unlearning.renewal import Renewal, applied, undone
from tests import plans

CLIENTS, ITEMS = 120, 40
WIDTHS = fedncf.Widths(gmf=4, mlp=6, hidden=(8,))


def attribute(labels):
    return Attribute(("a", "b", "c"), np.asarray(labels, np.int64))


LABELS = np.arange(CLIENTS) % 3 - 1
"""A third of the clients tell nothing, and nobody has the third class."""


def engine_of(labels=LABELS, every=1, kind="1.0", workers=1, start=Threads):
    plan = plans.make("fedncf")
    bundle = build("fedncf", list(map(str, range(ITEMS))), plan, 0, WIDTHS, training=False, serving=False)
    rng = np.random.default_rng(3)
    interactions = [
        np.unique(rng.integers(0, ITEMS // 2, 8) + (ITEMS // 2 if label == 1 else 0)) for label in np.abs(labels)
    ]
    population = Population.create(bundle.manifest, 0, interactions, {})
    renewal = Renewal(every, kind, {"kind": attribute(labels)}, seed=5)
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population, workers, kernel="torch", start=start, renewal=renewal)


def states(engine):
    return erasure.joined(engine._population.state.values)


def gap(features, labels):
    means = [features[labels == number].mean(0) for number in (0, 1)]
    return np.abs(means[0] - means[1]).max() / features.std()


def test_at_strength_one_the_classes_of_all_who_took_part_have_one_mean_whenever_it_is_due():
    engine = engine_of(every=2)
    gaps = []
    for number in range(6):
        engine.train_round(np.arange(number % 2, CLIENTS, 2))
        gaps.append(gap(states(engine), LABELS))
    assert max(gaps[1::2]) < 0.01
    assert min(gaps[::2]) > 0.02
    engine.close()


def test_workers_and_executors_give_the_same_bytes(monkeypatch):
    monkeypatch.setattr(batched, "CHUNK", 16)
    found = set()
    for workers, start in ((1, Threads), (3, Threads), (2, partial(processes.start, prepare=_nothing))):
        engine = engine_of(kind="kernel", workers=workers, start=start)
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
    np.testing.assert_array_equal(applied(one, x), applied(other, x))


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["auto", "0.5", "kernel"]))
@settings(max_examples=20, deadline=None)
def test_a_users_own_label_does_not_decide_how_its_state_is_moved(seed, kind):
    x = features(seed)
    x[1] = x[0]
    for labels in (LABELS, np.where(np.arange(CLIENTS) == 1, -1, LABELS)):
        moved = applied(renewal_of(labels, kind).fitted(x, rounds=1), x)
        np.testing.assert_array_equal(moved[0], moved[1])


def test_a_class_that_dies_out_leaves_nothing_to_erase():
    dying = np.where(LABELS == 1, -1, LABELS)
    assert renewal_of(dying).fitted(features(1), rounds=1) == ()
    engine, plain = engine_of(dying), engine_of(dying, every=10)
    for each in (engine, plain):
        each.train_round(np.arange(CLIENTS))
        each.close()
    np.testing.assert_array_equal(states(engine), states(plain))


def test_what_the_classes_alone_tell_is_fitted_whatever_the_others_do():
    """Users who take no part are moved, and do not change the map."""
    x = features(2)
    others = x.copy()
    others[LABELS < 0] *= 5
    one, other = (renewal_of(LABELS, "kernel").fitted(each, rounds=1) for each in (x, others))
    np.testing.assert_array_equal(applied(one, x), applied(other, x))
    assert (applied(one, x)[LABELS < 0] != x[LABELS < 0]).any()


def test_whoever_knows_the_maps_undoes_them_for_most_users():
    """Without a floor of noise, maps of strength below 1 hide nothing from who knows them."""
    x = features(4)
    eraser, *steps = renewal_of(LABELS, "kernel").fitted(x, rounds=1)
    maps = (replace(eraser, strength=0.7), *steps)
    error = np.abs(undone(maps, applied(maps, x)) - x).max(1)
    assert steps
    assert np.quantile(error, 0.9) < 1e-3 * np.abs(x).max()
