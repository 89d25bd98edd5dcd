"""What background work decides, as properties of whole histories."""

from dataclasses import fields, replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.errors import TransportError, UsageError
from client_sdk.protocol.wishes import Outcome, Result
from client_sdk.retry import LONGEST, RetryWindow
from client_sdk.scheduling.pace import MOST_BACKOFF, Pace
from client_sdk.scheduling.schedule import NAP, POLL, CheckInNow, Constraints, DeviceState, Wait, decide, over

NAMES = [each.name for each in fields(Constraints)]
CONSTRAINTS = st.builds(Constraints, **dict.fromkeys(NAMES, st.booleans()))
DEVICES = st.builds(DeviceState, **dict.fromkeys(NAMES, st.none() | st.booleans()))
GOOD = DeviceState(**dict.fromkeys(NAMES, True))
TIMES = st.floats(0, 4e9)
PACES = st.builds(Pace, due=TIMES)
WINDOWS = st.builds(
    lambda least, more: RetryWindow(timedelta(seconds=least), timedelta(seconds=least + more)),
    st.integers(0, 10**4),
    st.integers(0, 10**4),
)
ENDS = st.one_of(
    st.builds(Outcome, st.sampled_from(Result), st.none() | WINDOWS),
    st.tuples(st.just(TransportError("gone")), st.none() | WINDOWS),
)


def test_a_constraint_has_the_name_of_what_it_is_about():
    assert [each.name for each in fields(DeviceState)] == NAMES


@given(CONSTRAINTS, DEVICES, PACES, TIMES)
def test_a_check_in_comes_only_when_it_is_due_and_every_constraint_is_known_to_be_met(wanted, device, pace, now):
    met = all(getattr(device, name) is True for name in NAMES if getattr(wanted, name))
    step = decide(wanted, device, pace, now)
    assert (step == CheckInNow()) == (met and pace.wait(now) == 0)
    if isinstance(step, Wait):
        assert 0 < step.seconds <= NAP
        assert all(getattr(wanted, name) and not getattr(device, name) for name in step.unmet)


@given(CONSTRAINTS, DEVICES, st.floats(0, 1e6), st.floats(1, 1e6))
def test_a_sync_goes_on_while_the_constraints_are_met_and_the_budget_lasts(wanted, device, spent, budget):
    assert over(wanted, device, spent, budget) == (wanted.unmet(device) != () or spent >= budget)


@given(DEVICES)
def test_without_constraints_any_device_will_do(device):
    assert Constraints().unmet(device) == ()
    assert not Constraints().any


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [None, False])
def test_what_is_not_known_meets_no_constraint(name, value):
    wanted = Constraints(**{name: True})
    assert wanted.unmet(replace(GOOD, **{name: value})) == (name,)
    assert wanted.unmet(GOOD) == ()


@given(CONSTRAINTS, st.lists(st.tuples(DEVICES | st.just(GOOD), ENDS), max_size=30), st.randoms(), TIMES)
def test_in_a_whole_history_no_check_in_is_early_and_a_good_device_checks_in_at_last(wanted, history, chance, now):
    rng, pace, not_before = Random(chance.random()), Pace(), 0.0
    for device, end in history:
        step = decide(wanted, device, pace, now)
        if isinstance(step, Wait):
            now += step.seconds
            continue
        assert now >= not_before
        assert wanted.unmet(device) == ()
        error, retry = (None, end.retry) if isinstance(end, Outcome) else end
        pace = pace.failed(error, retry, now, rng) if error else pace.ended(end, now, rng)
        not_before = pace.earliest or 0.0
    waited = 0.0
    while isinstance(step := decide(wanted, GOOD, pace, now), Wait):
        now, waited = now + step.seconds, waited + step.seconds
    assert waited <= max(2e4, MOST_BACKOFF) + 1 < LONGEST


@given(PACES, TIMES)
def test_waiting_for_a_constraint_is_told_apart_from_waiting_for_the_time(pace, now):
    step = decide(Constraints(charging=True), DeviceState(), pace, now)
    assert step.unmet == (() if pace.wait(now) else ("charging",))
    assert pace.wait(now) or step.seconds == POLL


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_a_constraint_is_true_or_false(value):
    with pytest.raises(UsageError, match="charging must be"):
        Constraints(charging=value)
