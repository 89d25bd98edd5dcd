"""How the batched engine cuts a cohort into chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.bench.engines import engine_of, population_of
from simulator.engines.batched import LEAST

CLIENTS, ITEMS = 400, 200


@pytest.fixture(scope="module", params=["fedncf", "fedrap"])
def engine(request):
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.geometric(1 / 20, CLIENTS), ITEMS // 2)
    interactions = [np.sort(rng.choice(ITEMS, length, replace=False)) for length in lengths]
    return engine_of(*population_of(interactions, ["F", "M"] * (CLIENTS // 2), ITEMS, request.param), kernel="torch")


@given(st.integers(0, 2**32), st.integers(1, CLIENTS))
def test_chunks_are_a_cohort_in_order_and_two_workers_can_share_them(engine, seed, size):
    members = np.sort(np.random.default_rng(seed).choice(CLIENTS, size, replace=False))
    chunks = engine._chunks(members)
    np.testing.assert_array_equal(np.concatenate(chunks), members)
    assert len(chunks) == 1 if size <= min(LEAST, engine._chunk) else len(chunks) % 2 == 0
    lengths = np.array([len(rows) for rows in engine._population.interactions])
    work = lengths if engine._by_interactions else np.ones(CLIENTS, np.int64)
    shares = [work[chunk].sum() for chunk in chunks]
    assert max(shares) - min(shares) <= 2 * work[members].max()
