"""Batched engine and fleet, teacher-forced: from the same state one round agrees to 1e-5 (design section 8)."""

import numpy as np
import pytest

from client_sdk import draws
from client_sdk.kernel.training import Cohort, CohortTraining
from fedau2.wire import blobs, manifest
from fedau2.wire.contributions import Rows
from simulator import fleet as fleet_module

TOLERANCE = 1e-5


def close(actual, expected):
    scale = np.abs(expected).max()
    return scale == 0 or np.abs(actual - expected).max() / scale < TOLERANCE


def dense(update, shape):
    if isinstance(update, Rows):
        out = np.zeros(shape)
        out[update.indices] = update.values
        return out
    return np.asarray(update, np.float64)


@pytest.fixture
def recorded(monkeypatch):
    """What the fleet's devices upload, and the sums that the batched engine hands over."""
    uploads, sums = [], []
    finish, summed = fleet_module._Recording.finish, CohortTraining.summed

    def recording_finish(self):
        result = finish(self)
        uploads.append(result.contribution)
        return result

    def recording_summed(self):
        result = summed(self)
        sums.append(result)
        return result

    monkeypatch.setattr(fleet_module._Recording, "finish", recording_finish)
    monkeypatch.setattr(CohortTraining, "summed", recording_summed)
    return uploads, sums


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("head", ["none", "mlp", "vae", "dsvae"])
def test_a_round_agrees(head, steps, make_bundle, make_population, fleet, batched, cohorts, recorded):
    bundle = make_bundle(head, steps=steps, shared_learning_rate=0.05)
    ours, theirs = make_population(bundle), make_population(bundle)
    devices, engine = fleet(bundle, theirs), batched(bundle, ours)
    uploads, sums = recorded
    for members in cohorts[:6]:
        # Both start from the fleet's state.
        engine.checkpoint = devices.checkpoint
        everyone = np.arange(len(ours))
        ours.put(everyone, theirs.take(everyone))
        uploads.clear(), sums.clear()
        expected, actual = devices.train_round(members), engine.train_round(members)

        (total, weights), shapes = sums[0], {n: v.shape for n, v in devices.checkpoint.items()}
        for name, update in total.items():
            carried = [dense(upload[name], shapes[name]) for upload in uploads if name in upload]
            assert weights[name] == len(carried)
            if carried:
                assert close(dense(update, shapes[name]), np.sum(carried, 0)), name
        for part in ("values", "first", "second"):
            for name, column in getattr(theirs.state, part).items():
                assert close(getattr(ours.state, part)[name], column), (part, name)
        np.testing.assert_array_equal(ours.state.steps, theirs.state.steps)
        assert_triggers_agree(actual, expected)


def assert_triggers_agree(actual, expected):
    np.testing.assert_array_equal(actual.members, expected.members)
    for name, fired in expected.report.triggered.items():
        decided = ~(np.abs(expected.report.margin[name]) < TOLERANCE)
        np.testing.assert_array_equal(actual.report.triggered[name][decided], fired[decided])


def test_the_number_of_workers_does_not_change_a_byte(make_bundle, make_population, batched, monkeypatch):
    monkeypatch.setattr("simulator.batched.CHUNK", 3)
    bundle = make_bundle()
    results = []
    for workers in (1, 2, 5):
        population = make_population(bundle)
        engine = batched(bundle, population, workers=workers)
        for _ in range(5):
            engine.train_round(np.arange(len(population))[::-1])
        results.append((blobs.pack(engine.checkpoint), population.state.pack()))
    assert results[0] == results[1] == results[2]


def test_what_the_server_holds_does_not_determine_what_a_client_draws(make_bundle, make_population):
    """Same bundle, same data, another secret: samples, noise and private state all differ, for every client."""
    bundle = make_bundle()
    task = bundle.manifest
    one, other = make_population(bundle, 0), make_population(bundle, 0)
    changed = [bytes(byte ^ 1 for byte in key) for key in other.keys]
    everyone, drawn = np.arange(len(one)), []
    for keys in (one.keys, changed):
        cohort = Cohort.draw(task, 5, keys, one.interactions, one.labels(task, everyone), one.take(everyone))
        initial = [draws.initial(manifest.private(task), key) for key in keys]
        drawn.append((cohort, initial))
    (first, first_initial), (second, second_initial) = drawn
    for client in everyone:
        negatives = [each.samples[client][0].items for each in (first, second)]
        assert (negatives[0] != negatives[1]).any()
        assert (first.noise["gender"][client] != second.noise["gender"][client]).all()
        for name, value in first_initial[client].items():
            assert (value != second_initial[client][name]).all()
