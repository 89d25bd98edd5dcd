"""The clock: leases keep their lengths whatever happens to the system's clock."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine.clock import TOLERANCE, MonotonicClock


class Source:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e9, 1e9)), max_size=20))
def test_it_passes_as_monotonic_time_does_whatever_the_system_clock_says(steps):
    wall, monotonic = Source(1e9), Source(77.0)
    clock = MonotonicClock(wall, monotonic)
    assert clock() == pytest.approx(1e9)
    for passed, jump in steps:
        before = clock()
        monotonic.now += passed
        wall.now += passed + jump
        assert clock() - before == pytest.approx(passed, abs=1e-3)


def test_a_jump_is_logged_once_and_so_is_the_way_back(caplog):
    wall, monotonic = Source(1e9), Source(0.0)
    clock = MonotonicClock(wall, monotonic)

    def logged(jump):
        caplog.clear()
        wall.now += jump
        for _ in range(3):
            clock()
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert logged(0) == []
    assert logged(TOLERANCE - 1) == []  # slewed, a little
    [message] = logged(3600)
    assert "jumped by +3604.0 s" in message
    [message] = logged(-3604)
    assert "jumped by -3604.0 s" in message
    assert logged(0) == []
