"""How many devices share a row: the figures by which a task is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.wire.secure import closing, crowd
from fedau2.wire.secure.layout import Layout
from tests import secure_tasks as make


@pytest.mark.parametrize(("share", "at"), [(0.0005, 24), (0.02, 18), (0.97, 5)])
def test_the_share_of_closed_rows_is_that_of_the_design(share, at):
    assert crowd.closed(at, 10) == pytest.approx(share, rel=0.5)


@given(st.floats(0.1, 50), st.integers(0, 30))
def test_counts_of_devices_follow_poisson(mean, threshold):
    counts = np.random.default_rng(7).poisson(mean, 20_000)
    assert crowd.closed(mean, threshold) == pytest.approx((counts < threshold).mean(), abs=0.02)
    assert crowd.alone(mean, 20_000) == pytest.approx((counts == 1).sum(), abs=600)


@given(st.floats(1, 1e4), st.integers(1, 10**6))
def test_the_fewest_devices_reach_the_least_crowd(touched, rows):
    fewest = crowd.devices_for(touched, rows)
    assert crowd.crowd(fewest, touched, rows) >= crowd.LEAST * (1 - 1e-9)
    assert crowd.crowd(fewest - 1, touched, rows) < crowd.LEAST * (1 + 1e-9)


def test_nobody_touches_anything():
    assert crowd.closed(0.0, 1) == 1.0
    assert crowd.closed(0.0, 0) == 0.0


@given(st.lists(st.integers(0, 20), min_size=5, max_size=5), st.integers(0, 20))
def test_thin_rows_of_every_table_are_closed_and_nothing_else(counts, threshold):
    layout = Layout.of(make.task())
    total = np.full(layout.size, 7, np.int64)
    total[layout.touched] = counts
    total[layout.carried] = max(threshold, closing.LEAST_CARRIERS)
    closed = closing.withheld(total, layout, threshold)
    rows = closed[: layout.items]
    assert rows.tolist() == [threshold > 1 and count < threshold for count in counts]
    assert not closed[layout.items :].any()
    closing.close(total, layout, closed)
    for name, place in layout.tensors.items():
        part = total[place].reshape(layout.shapes[name])
        assert (part[rows] == 0).all() if name in layout.tables else (part == 7).all()
        assert name not in layout.tables or (part[~rows] == 7).all()
    assert total[layout.touched].tolist() == counts
