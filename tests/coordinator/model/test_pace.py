"""Pace steering: laws of the calendar, and what a task's devices are told."""

import math
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.model.closing import Rule
from coordinator.model.leases import Answer
from coordinator.model.pace import (
    CROWDED,
    HORIZON,
    IDLE,
    IDLE_RATE,
    LATER,
    SOONEST,
    Calendar,
    Pace,
    Window,
    duration,
    unheard,
)
from coordinator.model.round_machine import RoundMachine
from fedau2.v1.admin_pb2 import ROUND_STATE_AGGREGATING

RULE = Rule(goal=10, minimum=5, places=13, deadline=600, lease=300)
REJECTED = set(Answer) - {Answer.ACCEPTED, Answer.REPEATED}
RATES = st.floats(0.01, 1000)
CALLS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1000)), min_size=2, max_size=60)
"""Of devices that are sent away: seconds since the one before, and least delay."""


def slots(calendar, calls, rate):
    """When the devices are asked back at the earliest, without those for which there is no room."""
    moments = accumulate(since for since, _ in calls)
    booked = [(now, calendar.book(now, delay, rate)) for now, (_, delay) in zip(moments, calls, strict=True)]
    return [now + window.least for now, window in booked if window is not LATER]


@given(CALLS, RATES)
def test_slots_never_come_faster_than_the_rate(calls, rate):
    for early, late in pairwise(slots(Calendar(), calls, rate)):
        assert late - early >= 1 / rate - 1e-6


@given(CALLS, RATES)
def test_a_slot_is_the_first_that_is_free_after_the_delay(calls, rate):
    calendar, now, free = Calendar(), 0.0, -math.inf
    for since, delay in calls:
        now += since
        window = calendar.book(now, delay, rate)
        slot = max(now + delay, free)
        if slot > now + HORIZON:
            assert window is LATER
            continue
        assert window.least == pytest.approx(slot - now, abs=1e-6)
        assert window.least < window.most <= window.least + min(1 / rate, SOONEST) + 1e-9
        free = now + window.least + 1 / rate


@given(CALLS, CALLS, RATES, st.floats(0, 1000))
def test_after_a_restart_that_forgets_slots_come_at_most_twice_as_fast(before, after, rate, down):
    first = slots(Calendar(), before, rate)
    down += sum(since for since, _ in before)
    second = [down + slot for slot in slots(Calendar(), after, rate)]
    every = sorted(first + second)
    for early, late in zip(every, every[2:], strict=False):
        assert late - early >= 1 / rate - 1e-6  # of three in a row two are of one calendar


def test_a_herd_comes_back_evenly_and_nobody_later_than_the_horizon():
    calendar, rate = Calendar(), 0.9
    windows = [calendar.book(0.0, 1.0, rate) for _ in range(100_000)]
    booked = [window for window in windows if window is not LATER]
    assert [window.least for window in booked] == pytest.approx([1 + n / rate for n in range(len(booked))], rel=1e-6)
    assert len(booked) == int((HORIZON - 1) * rate) + 1
    assert LATER.most == HORIZON


@given(st.integers(0, 3000), st.sampled_from(sorted(REJECTED, key=str)))
def test_callers_that_ignore_their_windows_delay_no_contributor_and_teach_it_nothing(calls, answer):
    pace, calm, machine = Pace(RULE), Pace(RULE), filled()
    for _ in range(calls):
        pace.window(machine, answer, 0.0)
    assert pace.rate == calm.rate
    for place in range(RULE.places):
        assert pace.window(machine, Answer.ACCEPTED, float(place)) == calm.window(
            machine, Answer.ACCEPTED, float(place)
        )


@given(st.integers(0, 3000), st.floats(0.01, 1000))
def test_callers_that_ignore_their_windows_delay_others_little(calls, rate):
    calendar = Calendar()
    for _ in range(calls):
        calendar.book(0.0, SOONEST, rate, CROWDED)
    assert calendar.book(0.0, SOONEST, rate, CROWDED).least <= SOONEST + CROWDED + 1 / rate + calls / IDLE_RATE


def test_even_a_flood_of_callers_delays_others_by_a_day_at_most():
    pace, machine = Pace(RULE), filled()
    for _ in range(100_000):
        pace.window(machine, Answer.FULL, 0.0)
    assert pace.window(machine, Answer.FULL, 0.0).most <= HORIZON


@given(st.integers(0, 3000))
def test_devices_without_an_admission_come_evenly_and_delay_no_others(calls):
    pace, calm, machine = Pace(RULE), Pace(RULE), filled()
    slots = [pace.window(machine, Answer.UNADMITTED, 0.0).least for _ in range(calls)]
    for early, late in pairwise(slots):
        assert late - early >= 1 / max(pace.rate, IDLE_RATE) - 1e-6
    assert pace.window(machine, Answer.FULL, 0.0) == calm.window(machine, Answer.FULL, 0.0)


@given(st.integers(1, 100))
def test_a_contribution_that_is_sent_again_takes_no_further_slot(times):
    pace, machine = Pace(RULE), filled()
    pace.window(machine, Answer.ACCEPTED, 0.0)
    windows = {pace.window(machine, Answer.REPEATED, 0.0) for _ in range(times)}
    assert windows == {pace.window(machine, Answer.ACCEPTED, 0.0)}


def filled(opened=0.0, covered=0.0, number=0):
    """A round that has leased all its places at a moment."""
    machine = RoundMachine(RULE, number, opened)
    for place in range(RULE.places):
        assert machine.check_in(b"%d" % place, covered)[0] is Answer.ACCEPTED
    return machine


@given(st.floats(0, 500), st.floats(SOONEST, 290))
def test_the_rate_follows_the_work_and_not_the_wait_for_devices(wait, work):
    pace = Pace(RULE)
    pace.committed(filled(covered=wait), wait + work)
    assert pace.rate == pytest.approx(1.5 * RULE.places / work, rel=1e-6)


def test_a_lack_of_devices_teaches_no_rate():
    pace = Pace(RULE)
    before = pace.rate
    pace.committed(RoundMachine(RULE, 0, 0.0), 600)
    assert pace.rate == before == 1.5 * RULE.places / (RULE.lease / 2)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_whatever_is_measured_the_rate_stays_within_what_the_rule_explains(works):
    pace = Pace(RULE)
    for work in works:  # an outage in between, or rounds that are over at once
        pace.committed(filled(), work)
        assert 1.5 * RULE.places / RULE.lease <= pace.rate <= 1.5 * RULE.places / SOONEST


def test_the_average_moves_a_quarter_of_the_way():
    pace = Pace(RULE)
    pace.committed(filled(), 100)
    pace.committed(filled(), 200)
    assert pace.rate == pytest.approx(1.5 * RULE.places / 125)


def test_devices_that_the_open_round_cannot_use_come_when_it_can_be_expected_to_end():
    for answer in (Answer.FULL, Answer.ACCEPTED, Answer.REPEATED, Answer.GIVEN_BACK):
        pace = Pace(RULE)
        pace.committed(filled(), 80)
        machine = filled(opened=100, covered=120)
        assert pace.window(machine, answer, 150).least == pytest.approx(120 + 80 - 150)


def test_devices_that_an_open_round_can_use_come_at_once():
    for answer in (Answer.CLOSED, Answer.LATE):
        pace = Pace(RULE)
        pace.committed(filled(), 80)
        assert pace.window(filled(opened=100, covered=120), answer, 150).least == SOONEST
    pace = Pace(RULE)
    machine = RoundMachine(RULE, 0, 0.0, state=ROUND_STATE_AGGREGATING)
    assert pace.window(machine, Answer.ACCEPTED, 50).least == SOONEST  # its contribution closed the round


def test_a_round_that_can_only_close_at_its_deadline_is_awaited_with_patience_and_not_missed():
    """Fewer devices than the goal: each asks a few times, and is there when the next round opens."""
    machine, now, asked = RoundMachine(RULE, 0, 0.0), 10.0, 0
    while now < RULE.deadline:
        now += Pace(RULE).window(machine, Answer.GIVEN_BACK, now).least
        asked += 1
    assert asked < 15
    assert now < RULE.deadline + 2 * SOONEST


@given(st.integers(1, 20))
def test_a_minimum_separation_is_awaited_beyond_the_next_round_in_round_times(separation):
    near, far = Pace(RULE), Pace(RULE, separation)
    for pace in (near, far):
        pace.committed(filled(covered=20), 90)
    machine = filled(opened=100, covered=120)
    one, several = (pace.window(machine, Answer.ACCEPTED, 130) for pace in (near, far))
    assert several == pytest.approx([edge + (separation - 1) * 90 for edge in one])
    one, other = (pace.window(machine, Answer.FULL, 130) for pace in (near, far))
    assert one == pytest.approx(other)  # neither does a far slot push away the others
    assert far.window(machine, Answer.GIVEN_BACK, 130).least <= one.most + 1 / far.rate  # early again: one round more


@given(st.integers(0, 30), st.floats(0, 500))
def test_attempts_that_were_abandoned_count_as_time_of_the_round(attempt, last):
    pace = Pace(RULE, separation=2)
    pace.committed(RoundMachine(RULE, 0, 1000.0, attempt), 1000 + last)
    machine = RoundMachine(RULE, 1, 0.0, state=ROUND_STATE_AGGREGATING)
    assert pace.window(machine, Answer.ACCEPTED, 0).least == pytest.approx(SOONEST + attempt * 600 + last)


def test_devices_of_a_paused_task_are_left_alone_for_a_while_and_come_evenly():
    pace, machine = Pace(RULE), RoundMachine(RULE, 0, 0.0, paused=True)
    windows = [pace.window(machine, Answer.PAUSED, 0.0) for _ in range(3)]
    assert [window.least for window in windows] == pytest.approx([IDLE + n / pace.rate for n in range(3)])


def test_a_device_that_hears_nothing_comes_after_its_lease():
    machine = RoundMachine(RULE, 0, 0.0)
    machine.check_in(b"1", 0.0)
    assert machine.judge(b"1", b"", unheard(RULE).least) is Answer.LATE


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_window_is_told_to_the_microsecond(least, length):
    message = Window(least, least + length).message()
    assert message.delay_min.ToMicroseconds() == pytest.approx(least * 1e6, abs=1)
    assert message.delay_max == duration(least + length)
