"""When a device comes back, as properties."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from client_sdk.errors import AttributeValueError, NoDataError, TransportError
from client_sdk.protocol.wishes import Outcome, Result
from client_sdk.retry import LONGEST
from client_sdk.scheduling.pace import LEAST_BACKOFF, MOST_BACKOFF, Pace, backoff
from tests.client_sdk.test_retry import WINDOWS

NOW = st.floats(0, 4e9)
SEEDS = st.randoms(use_true_random=False).map(lambda rng: Random(rng.random()))
RESULTS = st.sampled_from(Result)
DONE = st.sampled_from([result for result in Result if result is not Result.INTERRUPTED])


@st.composite
def paces(draw):
    """What any run of syncs may leave, and the time of the last."""
    pace, now = Pace(), draw(NOW)
    for _ in range(draw(st.integers(0, 5))):
        now = max(0.0, now + draw(st.floats(-1e6, 1e6)))  # a clock may be set back
        retry = draw(st.none() | WINDOWS)
        if draw(st.booleans()):
            pace = pace.ended(Outcome(draw(RESULTS), retry), now, draw(SEEDS))
        else:
            pace = pace.failed(TransportError("gone"), retry, now, draw(SEEDS))
    return pace, now


@given(paces(), DONE, WINDOWS, SEEDS)
def test_a_device_that_was_told_when_comes_within_the_window(last, result, window, rng):
    pace, now = last
    after = pace.ended(Outcome(result, window), now, rng)
    assert now <= after.earliest <= after.due <= after.latest <= now + LONGEST
    told = window.earliest.total_seconds(), window.latest.total_seconds()
    assert (after.earliest, after.latest) == (now + told[0], now + told[1])
    assert after.failures == 0


@given(paces(), WINDOWS, SEEDS)
def test_a_device_that_was_interrupted_waits_longer_each_time(last, window, rng):
    pace, now = last
    for number in range(1, 4):
        after = pace.ended(Outcome(Result.INTERRUPTED, window), now, rng)
        assert after.failures == pace.failures + 1
        assert after.due >= max(after.earliest, now + LEAST_BACKOFF * 2 ** (number - 1) / 2)
        pace = after


@given(paces(), RESULTS, WINDOWS, NOW, SEEDS)
def test_no_end_of_a_sync_forgets_the_age_of_the_model(last, result, window, renewed, rng):
    pace, now = replace(last[0], renewed=renewed), last[1]
    assert pace.ended(Outcome(result, window), now, rng).renewed == renewed
    assert pace.failed(TransportError("gone"), window, now, rng).renewed == renewed


@given(paces(), WINDOWS, SEEDS)
def test_after_a_refused_call_it_comes_in_the_window_or_after_it(last, window, rng):
    pace, now = last
    after = pace.failed(TransportError("gone"), window, now, rng)
    assert after.due >= after.earliest
    assert after.due >= now + LEAST_BACKOFF / 2


@given(paces(), WINDOWS, SEEDS, st.sampled_from([NoDataError("none"), AttributeValueError("unknown", "gender")]))
def test_a_device_that_cannot_train_comes_in_the_window_of_its_rejection(last, window, rng, error):
    pace, now = last
    after = pace.failed(error, window, now, rng)
    assert after.earliest <= after.due <= after.latest
    assert (after.failures, after.error) == (0, type(error).__name__)
    assert pace.failed(error, None, now, rng).failures == pace.failures + 1


@given(paces(), SEEDS)
def test_a_failure_never_brings_a_device_back_sooner(last, rng):
    pace, now = last
    after = pace.failed(TransportError("gone"), None, now, rng)
    assert after.due >= max(now + LEAST_BACKOFF / 2, now + pace.wait(now))
    assert after.failures == pace.failures + 1


@given(paces(), st.floats(-1e9, 1e9))
def test_no_device_waits_for_ever(last, later):
    pace, now = last
    assert 0 <= pace.wait(now + later) <= LONGEST  # whatever its clock does
    assert pace.wait(pace.due) == 0


@given(paces(), st.floats(-1e9, 1e9))
def test_a_clock_that_is_set_keeps_no_device_longer_than_it_was_told(last, later):
    pace, now = last
    told = 0 if pace.last is None else pace.due - pace.last
    assert pace.wait(now + later) <= told


@given(st.integers(1, 10**6), SEEDS)
def test_a_backoff_doubles_up_to_its_most_and_is_spread(failures, rng):
    doubled = LEAST_BACKOFF * 2.0 ** min(failures - 1, 40)
    assert min(doubled, MOST_BACKOFF) / 2 <= backoff(failures, rng) <= min(doubled, MOST_BACKOFF)
    assert len({backoff(failures, rng) for _ in range(20)}) > 10
