"""The time that is left follows the speed of late, however unevenly parts end."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from simulator.reporting import terminal
from simulator.reporting.pace import Pace


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self):
        return self.now


def after(events, total, done=0):
    """A pace, and its clock, after parts that ended in bursts: pairs of seconds since the last one and parts."""
    clock = Clock()
    pace = Pace(clock)
    pace.start(total, done)
    for seconds, parts in events:
        clock.now += seconds
        for _ in range(parts):
            pace.advance()
    return pace, clock


@given(st.integers(1, 40), st.floats(0.5, 100), st.integers(1, 30), st.integers(0, 500), st.integers(0, 50))
def test_parts_that_end_in_equal_bursts_leave_what_they_took(bursts, seconds, parts, rest, done):
    pace, _ = after([(seconds, parts)] * bursts, done + bursts * parts + rest, done)
    assert pace.left() == pytest.approx(rest * seconds / parts, abs=1e-6)


def test_nothing_is_known_before_the_first_part_ended():
    pace, clock = after([], 10, done=4)
    clock.now += 5
    assert pace.left() is None


def test_the_speed_of_late_counts():
    slow_now, _ = after([(1, 10)] * 100 + [(30, 1)] * 5, 2000)
    assert slow_now.left() == pytest.approx(30 * (2000 - 1005), rel=0.01)


def test_time_goes_on_between_parts_but_never_below_nothing():
    pace, clock = after([(10, 1)], 2)
    clock.now += 4
    assert pace.left() == pytest.approx(6)
    clock.now += 40
    assert pace.left() == 0


def test_the_bar_shows_the_time_that_is_left():
    clock, console = Clock(), Console(width=200, file=io.StringIO(), force_terminal=True)
    with terminal.bars(console) as display:
        bar = terminal.Bar(display, "run", clock)
        bar.start("attacking", 100)
        clock.now += 60
        bar.advance("paper")
        display.refresh()
    assert "1:39:00" in console.file.getvalue()
