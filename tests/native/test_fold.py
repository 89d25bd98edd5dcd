"""The library's sums are those of `coordinator.aggregation`, integer for integer."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.aggregation.fold import Fold, NativeFold, pieces
from fedau2.wire import fixed
from fedau2.wire.contributions import Rows

MOST = float(np.nextafter(np.float32(fixed.bound(1)), np.float32(0)))

numbers = st.one_of(
    st.floats(-MOST, MOST, width=32),
    st.floats(-4, 4, width=32),
    st.integers(-40, 40).map(lambda number: number / 2 / fixed.SCALE),  # halves are rounded to even
)


@pytest.fixture
def fold(variant, monkeypatch):
    monkeypatch.setattr("coordinator.aggregation.fold.LARGE", 1)
    return NativeFold(variant)


@given(
    values=st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=8),
    factor=st.sampled_from([1.0, 0.3]),
    double=st.booleans(),
    data=st.data(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whole_tensors_and_rows_are_added_alike(fold, values, factor, double, data):
    array = np.array(values, np.float64 if double else np.float32)
    rows = np.array(data.draw(st.permutations(range(10))))[: len(array)]
    of_rows = Rows(rows, array)
    totals = []
    for adding in (fold, Fold()):
        whole, some = np.ones(array.shape, np.int64), np.ones((10, 3), np.int64)
        adding.add([*pieces(whole, array), *pieces(some, of_rows)], factor)
        totals.append((whole, some))
    for ours, theirs in zip(*totals, strict=True):
        np.testing.assert_array_equal(ours, theirs)
