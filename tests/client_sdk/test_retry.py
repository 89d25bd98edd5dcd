"""A coordinator's window, as an app sees it."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import RetryWindow, retry
from client_sdk.retry import LONGEST
from fedau2.v1 import task_pb2

SECONDS = st.integers(-(2**62), 2**62) | st.integers(0, 2 * int(LONGEST))
DURATIONS = st.builds(Duration, seconds=SECONDS, nanos=st.integers(-(10**9) + 1, 10**9 - 1))
WINDOWS = st.builds(task_pb2.RetryWindow, delay_min=DURATIONS, delay_max=DURATIONS).map(retry.window)


@given(WINDOWS)
def test_whatever_a_coordinator_says_a_window_is_no_longer_than_a_week_and_ends_after_its_start(window):
    assert timedelta(0) <= window.earliest <= window.latest <= timedelta(seconds=LONGEST)


@given(st.timedeltas(timedelta(0), timedelta(seconds=LONGEST)), st.timedeltas(timedelta(0), timedelta(seconds=LONGEST)))
def test_a_window_within_a_week_is_told_as_it_is(one, other):
    message, (least, most) = task_pb2.RetryWindow(), sorted([one, other])
    message.delay_min.FromTimedelta(least)
    message.delay_max.FromTimedelta(most)
    assert retry.window(message) == RetryWindow(least, most)


def test_a_window_of_no_time_is_a_window_and_an_empty_message_is_none():
    now = task_pb2.RetryWindow(delay_min=Duration(), delay_max=Duration())
    assert retry.window(now) == RetryWindow(timedelta(0), timedelta(0))
    assert retry.window(task_pb2.RetryWindow()) is None
    assert retry.window(None) is None
