"""The library's sums are those of `coordinator.aggregation`, integer for integer."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.aggregation.fold import Fold, pieces
from fedau2.wire.contributions import Rows

numbers = st.floats(-(2.0**20), 2.0**20, width=32)


@pytest.fixture
def fold(library):
    from simulator.engines.native_fold import NativeFold

    return NativeFold(library)


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
