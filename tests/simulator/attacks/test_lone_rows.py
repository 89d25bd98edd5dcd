"""Exact sums show the devices that touch rows alone, and closed rows end it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.wire.contributions import Rows
from fedau2.wire.secure import crowd
from simulator.attacks import lone_rows, sums
from simulator.attacks.lone_rows import Sum


def devices(count, items, recorded, drawn, seed, width=12):
    """Devices whose rows are multiples of a vector: below 0 for recorded items, above 0 for drawn ones."""
    rng = np.random.default_rng(seed)
    parts, interactions = [], []
    for _ in range(count):
        chosen = rng.permutation(items)[: recorded + drawn]
        factors = rng.uniform(0.2, 1, len(chosen)) * np.where(np.arange(len(chosen)) < recorded, -1, 1)
        order = np.argsort(chosen)
        values = np.outer(factors, rng.normal(size=width))[order]
        parts.append(Rows(chosen[order], values.astype(np.float32)))
        interactions.append(np.sort(chosen[:recorded]))
    return parts, interactions


def added(parts, items, step=0.0):
    total, touched = np.zeros((items, parts[0].values.shape[1])), np.zeros(items, np.int64)
    for part in parts:
        total[part.indices] += np.rint(part.values / step) if step else part.values
        touched[part.indices] += 1
    return Sum(total, touched, parts)


def read(whole, interactions):
    return lone_rows.judge(lone_rows.groups(whole.total), whole.parts, interactions)


@given(st.integers(0, 2**16), st.integers(10, 60), st.sampled_from([0.0, 2.0**-13]))
def test_a_thin_crowd_shows_every_device_and_recorded_items_with_it(seed, count, step):
    items = 40 * count
    parts, interactions = devices(count, items, recorded=4, drawn=16, seed=seed)
    assert crowd.crowd(count, 20, items) == 0.5
    found = read(added(parts, items, step), interactions)
    assert found.read == found.devices == count
    assert found.items > 0.3 * found.recorded
    assert found.wrong < 0.5 * found.items  # three lone rows of a device may all be of items that it drew


@given(st.integers(0, 2**16))
def test_a_dense_crowd_shows_nobody(seed):
    parts, interactions = devices(60, 60, recorded=4, drawn=16, seed=seed)
    assert crowd.crowd(60, 20, 60) == crowd.LEAST
    found = read(added(parts, 60), interactions)
    assert (found.read, found.items) == (0, 0)


@given(st.integers(0, 2**16), st.integers(4, 10))
def test_closed_rows_show_nobody(seed, threshold):
    parts, interactions = devices(30, 400, recorded=4, drawn=16, seed=seed)
    whole = added(parts, 400)
    assert read(whole, interactions).read > 0
    found = read(whole.closed(threshold), interactions)
    assert (found.read, found.items, found.wrong) == (0, 0, 0)


def test_rows_of_a_pair_of_devices_are_held_for_no_device():
    lines = np.random.default_rng(1).normal(size=(2, 12)).astype(np.float32)
    parts = [Rows(np.arange(4), np.tile(line, (4, 1))) for line in lines]
    found = read(added(parts, 9), [np.arange(1)] * 2)
    assert (found.read, found.foreign) == (0, 1)


def test_a_device_that_draws_nothing_shows_all_its_rows():
    parts, interactions = devices(3, 300, recorded=5, drawn=0, seed=3)
    whole = added(parts, 300)
    found = lone_rows.judge(lone_rows.groups(whole.total, draws=False), parts, interactions)
    assert (found.read, found.items) == (3, 15)


def test_an_empty_sum_has_no_groups():
    assert lone_rows.groups(np.zeros((5, 3))) == []


@pytest.mark.parametrize(
    ("model", "table"),
    [
        ("fedncf", "item_gmf"),
        ("fedvae", "item_encoder"),
        ("fcf", "item_vector"),
        ("pfedrec", "item_vector"),
        ("fedgnn", "item_message"),
    ],
)
def test_contributions_of_recommenders_lie_on_a_line(observed, model, table):
    task, population = observed(40, head="none", model=model)
    whole = Sum.of(task, population, np.arange(3), 0, table)
    for part in whole.parts:
        sizes = np.linalg.svd(part.values, compute_uv=False)
        assert len(part.indices) >= lone_rows.LEAST
        assert sizes[1] < 1e-4 * sizes[0]
    assert whole.touched.sum() == sum(part.values.any(axis=1).sum() for part in whole.parts)


@pytest.mark.parametrize(("clients", "size", "rounds"), [(400, 94, 100), (400, 20, 100), (600, 94, 60), (300, 40, 200)])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_regression_over_rounds_keeps_to_the_law(clients, size, rounds, noise):
    rng = np.random.default_rng(size)
    reached = []
    for _ in range(4):
        labels = rng.permutation(np.arange(clients) % 2)
        took_part = np.zeros((rounds, clients))
        for row in took_part:
            row[rng.permutation(clients)[:size]] = 1
        parts = np.broadcast_to(2.0 * labels - 1, (rounds, clients)) + noise * rng.normal(size=(rounds, clients))
        totals = (took_part * parts).sum(1)
        guess = sums._solve(took_part, np.stack([totals, -totals], axis=1))
        reached.append((guess == labels).mean())
    assert np.mean(reached) == pytest.approx(sums.law(rounds, size, clients, noise), abs=0.05)


def test_the_size_of_sums_cancels_and_noise_helps():
    assert sums.law(100, 94, 943) == pytest.approx(sums.law(100, 10, 943))
    assert sums.law(400, 94, 943) > sums.law(100, 94, 943) > sums.law(100, 94, 943, noise=1) > 0.5
    assert sums.law(400, 94, 943, on_sums=1000) == pytest.approx(0.5, abs=0.01)
    assert sums.law(943, 94, 943) == 1
    assert sums.law(400, 94, 943, noise=1e-3) == pytest.approx(sums.law(400, 94, 943), abs=1e-4)
