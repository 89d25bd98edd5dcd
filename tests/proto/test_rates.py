"""Nobody calls more often than the rate allows, and nobody is kept from calling less often."""

from hypothesis import given
from hypothesis import strategies as st

from fedau2 import rates
from fedau2.rates import Rates

CALLS = st.lists(st.tuples(st.sampled_from([b"anna", b"vera"]), st.integers(0, 20)), max_size=60)


@given(st.integers(1, 10), CALLS)
def test_in_no_time_a_caller_makes_more_calls_than_at_once_and_by_the_minute(calls, made):
    counted, now, passed = Rates(calls), 0.0, {b"anna": [], b"vera": []}
    for caller, pause in made:
        now += pause
        if counted.spend(caller, now):
            passed[caller].append(now)
        for times in passed.values():
            for first in range(len(times)):
                assert len(times) - first <= calls + (now - times[first]) * calls / 60 + 1e-6


@given(st.integers(1, 10), st.lists(st.just(b"vera"), max_size=50))
def test_who_calls_no_more_often_than_the_rate_is_never_turned_away(calls, others):
    counted, now = Rates(calls), 0.0
    for other in [*others, b"vera"]:
        counted.spend(other, now)
        now += 60 / calls + 1e-6
        assert counted.spend(b"anna", now)


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing():
    counted = Rates(2)
    assert counted.spend(b"anna", 100.0)
    assert counted.spend(b"anna", 50.0)
    assert not counted.spend(b"anna", 50.0)


def test_0_is_any_number_and_of_many_callers_the_oldest_are_forgotten(monkeypatch):
    assert all(Rates(0).spend(b"anna", 0.0) for _ in range(1000))
    monkeypatch.setattr(rates, "MOST", 2)
    counted = Rates(1)
    for caller in (b"a", b"b", b"c"):
        assert counted.spend(caller, 0.0)
    assert len(counted) == 2
    assert not counted.spend(b"c", 0.0)
    assert counted.spend(b"a", 0.0)
