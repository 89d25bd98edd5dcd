"""The round's state machine: invariants over any run of events, and its rules one by one."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from coordinator.model.closing import Rule
from coordinator.model.effects import Abandoned, Assigned, Closed, Expired, Failed, Frozen, Refused, Reported
from coordinator.model.leases import Answer, Lease
from coordinator.model.round_machine import RoundMachine
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_ASSIGNED,
    ASSIGNMENT_STATE_EXPIRED,
    ASSIGNMENT_STATE_FAILED,
    ASSIGNMENT_STATE_REFUSED,
    ASSIGNMENT_STATE_REPORTED,
    ROUND_STATE_ABANDONED,
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_COLLECTING,
    ROUND_STATE_OPENING,
)
from fedau2.v1.device_pb2 import FAILURE_REASON_TRAINING

ENDS = {
    Reported: ASSIGNMENT_STATE_REPORTED,
    Failed: ASSIGNMENT_STATE_FAILED,
    Expired: ASSIGNMENT_STATE_EXPIRED,
}


class Machine(RuleBasedStateMachine):
    """Feeds events in, and keeps beside the machine what its effects alone say: that is what a restart would know."""

    @initialize(
        goal=st.integers(1, 4),
        spare=st.integers(0, 3),
        short=st.integers(0, 3),
        deadline=st.integers(1, 20),
        lease=st.integers(1, 20),
        hidden=st.booleans(),
    )
    def begin(self, goal, spare, short, deadline, lease, hidden):
        self.rule = Rule(goal, max(1, goal - short), goal + spare, deadline, lease, hidden)
        self.round = RoundMachine(self.rule, 5, 0.0)
        self.frozen = self.locked = False
        self.round.locked = False
        self.now, self.ids, self.closed = 0.0, 0, False
        self.leases, self.attempt, self.opened = {}, 0, 0.0
        self.paused = self.stopped = False

    def apply(self, effects):
        assert not ((self.closed or self.stopped) and effects), "a round that is over has no more effects"
        assert not self.frozen or all(isinstance(effect, Refused | Abandoned) for effect in effects)
        for effect in effects:
            match effect:
                case Assigned(key, attempt, deadline):
                    assert key not in self.leases
                    assert attempt == self.attempt
                    assert not self.paused
                    self.leases[key] = Lease(ASSIGNMENT_STATE_ASSIGNED, deadline)
                case Abandoned(attempt, frozen):
                    assert attempt == self.attempt
                    assert self.reported() < self.rule.minimum
                    assert frozen == self.frozen
                    assert frozen or (not self.paused and self.now >= self.opened + self.rule.deadline)
                    self.attempt, self.opened, self.frozen = attempt + 1, self.now, False
                case Frozen(attempt):
                    assert attempt == self.attempt
                    assert self.rule.hidden
                    assert self.reported() >= self.rule.minimum
                    self.frozen = True
                case Refused(key):
                    assert self.leases[key].state == ASSIGNMENT_STATE_REPORTED
                    self.leases[key] = replace(self.leases[key], state=ASSIGNMENT_STATE_REFUSED)
                case Closed(attempt):
                    assert attempt == self.attempt
                    assert not self.rule.hidden
                    assert self.reported() >= self.rule.minimum
                    self.closed = True
                case _:
                    lease = self.leases[effect.assignment_id]
                    assert lease.state == ASSIGNMENT_STATE_ASSIGNED, "an assignment ends once"
                    sha256 = effect.sha256 if isinstance(effect, Reported) else b""
                    self.leases[effect.assignment_id] = Lease(ENDS[type(effect)], lease.deadline, sha256)

    def reported(self):
        return sum(lease.state == ASSIGNMENT_STATE_REPORTED for lease in self.leases.values())

    def live(self):
        return sum(lease.state == ASSIGNMENT_STATE_ASSIGNED for lease in self.leases.values())

    @rule()
    def check_in(self):
        self.ids += 1
        answer, effects = self.round.check_in(b"%d" % self.ids, self.now)
        self.apply(effects)
        assert (answer is Answer.ACCEPTED) == any(isinstance(effect, Assigned) for effect in effects)
        assert (answer is Answer.PAUSED) == self.paused
        over = self.closed or self.stopped or self.frozen or self.locked
        assert (answer is Answer.CLOSED) == (over and not self.paused)

    @rule(number=st.integers(0, 12), sha256=st.sampled_from([b"a", b"b"]))
    def report(self, number, sha256):
        key = b"%d" % number
        before = self.leases.get(key)
        expected = self.round.judge(key, sha256, self.now)
        answer, effects = self.round.report(key, sha256, self.now)
        self.apply(effects)
        if not any(isinstance(effect, Closed | Frozen) for effect in effects[:1]):
            assert answer is expected, "judge says what report will say"
        assert (answer is Answer.ACCEPTED) == (Reported(key, sha256) in effects)
        assert (answer is Answer.UNKNOWN) == (before is None)
        assert (answer is Answer.STOPPED) <= self.stopped
        if before is not None and before.state in (ASSIGNMENT_STATE_REPORTED, ASSIGNMENT_STATE_REFUSED):
            assert answer is (Answer.REPEATED if before.sha256 == sha256 else Answer.DIFFERENT)

    @rule(number=st.integers(0, 12))
    def fail(self, number):
        answer, effects = self.round.fail(b"%d" % number, FAILURE_REASON_TRAINING, self.now)
        self.apply(effects)
        assert (answer is Answer.ACCEPTED) == (Failed(b"%d" % number, FAILURE_REASON_TRAINING) in effects)

    @rule(seconds=st.integers(-6, 12))
    def wait(self, seconds):
        self.now += seconds  # a clock may be set back

    @rule()
    def tick(self):
        self.apply(self.round.tick(self.now))

    @rule(paused=st.booleans())
    def pause_or_resume(self, paused):
        self.round.paused = self.paused = paused

    @rule(locked=st.booleans())
    def lock_or_unlock(self, locked):
        self.locked = self.round.locked = locked and self.rule.hidden

    @precondition(lambda self: self.frozen and not self.stopped)
    @rule(numbers=st.sets(st.integers(1, 12), max_size=3))
    def refuse(self, numbers):
        members = [key for key, lease in self.leases.items() if lease.state == ASSIGNMENT_STATE_REPORTED]
        chosen = [key for key in members if int(key) in numbers]
        self.apply(self.round.refuse(chosen, self.now))
        assert self.frozen == (len(members) - len(chosen) >= self.rule.minimum)

    @precondition(lambda self: self.frozen and not self.stopped)
    @rule()
    def open(self):
        self.round.open()
        self.frozen, self.closed = False, True

    @rule()
    def stop(self):
        assume(self.ids >= 3)  # not as the first thing
        self.round.stop()
        self.stopped = True

    @precondition(lambda self: not self.stopped)
    @rule(jump=st.integers(-30, 30))
    def restart(self, jump):
        """The clock may have been set in between. What is stored is what the effects said."""
        self.now = max(0.0, self.now + jump)
        state = ROUND_STATE_OPENING if self.frozen else ROUND_STATE_COLLECTING
        state = ROUND_STATE_AGGREGATING if self.closed else state
        self.round = RoundMachine(self.rule, 5, self.opened, self.attempt, state, self.leases, self.paused, self.now)
        self.locked = self.rule.hidden
        latest = self.now + self.rule.lease
        self.opened = min(self.opened, self.now)
        self.leases = {key: replace(each, deadline=min(each.deadline, latest)) for key, each in self.leases.items()}

    @invariant()
    def what_it_says_of_itself_is_what_its_effects_say(self):
        assert (self.round.reported, self.round.live) == (self.reported(), self.live())
        assert self.round.attempt == self.attempt
        if self.stopped:
            assert self.round.state == ROUND_STATE_ABANDONED
        else:
            assert (self.round.state == ROUND_STATE_AGGREGATING) == self.closed
            assert (self.round.state == ROUND_STATE_OPENING) == self.frozen
        assert all(key in self.round for key in self.leases)

    @invariant()
    def never_more_places_than_there_are_nor_more_contributions_than_the_goal(self):
        assert self.reported() + self.live() <= self.rule.places
        assert self.reported() <= self.rule.goal
        assert self.closed or self.frozen or self.reported() < self.rule.goal

    @invariant()
    def covered_is_when_it_first_had_as_many_as_its_goal(self):
        assert (self.round.covered is not None) >= (self.reported() + self.live() >= self.rule.goal)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase

RULE = Rule(goal=2, minimum=1, places=3, deadline=10, lease=4)


def test_the_goal_closes_at_once():
    machine = RoundMachine(RULE, 0, 0.0)
    for key in (b"1", b"2", b"3"):
        machine.check_in(key, 1)
    assert machine.report(b"1", b"x", 2) == (Answer.ACCEPTED, [Reported(b"1", b"x")])
    assert machine.report(b"2", b"y", 2) == (Answer.ACCEPTED, [Reported(b"2", b"y"), Closed(0)])
    assert machine.report(b"3", b"z", 2) == (Answer.CLOSED, [])
    assert machine.report(b"1", b"x", 2) == (Answer.REPEATED, [])
    assert machine.report(b"1", b"z", 2) == (Answer.DIFFERENT, [])
    assert machine.check_in(b"4", 2) == (Answer.CLOSED, [])


def test_the_minimum_closes_at_the_deadline_and_not_before():
    machine = RoundMachine(RULE, 0, 0.0)
    machine.check_in(b"1", 8)
    machine.report(b"1", b"x", 9)
    assert machine.tick(9.9) == []
    assert machine.tick(10) == [Closed(0)]


def test_fewer_than_the_minimum_are_kept_for_the_next_attempt():
    machine = RoundMachine(Rule(goal=3, minimum=2, places=3, deadline=10, lease=8), 0, 0.0)
    machine.check_in(b"1", 1)
    machine.check_in(b"2", 7)
    machine.report(b"1", b"x", 2)
    assert machine.tick(10) == [Abandoned(0)]
    assert (machine.attempt, machine.opened, machine.reported, machine.live) == (1, 10, 1, 1)
    assert machine.report(b"2", b"y", 11) == (Answer.ACCEPTED, [Reported(b"2", b"y")])
    assert machine.tick(20) == [Closed(1)]


def test_an_expired_lease_frees_its_place_and_comes_too_late():
    machine = RoundMachine(RULE, 0, 0.0)
    for key in (b"1", b"2", b"3"):
        machine.check_in(key, 0)
    assert machine.check_in(b"4", 3) == (Answer.FULL, [])
    answer, effects = machine.check_in(b"5", 4)
    assert answer is Answer.ACCEPTED
    assert effects == [Expired(b"1"), Expired(b"2"), Expired(b"3"), Assigned(b"5", 0, 8)]
    assert machine.report(b"1", b"x", 4) == (Answer.LATE, [])


def test_a_place_that_is_given_back_is_free_and_stays_given_back():
    machine = RoundMachine(Rule(goal=1, minimum=1, places=1, deadline=10, lease=4), 0, 0.0)
    machine.check_in(b"1", 0)
    machine.fail(b"1", FAILURE_REASON_TRAINING, 1)
    assert machine.check_in(b"2", 1)[0] is Answer.ACCEPTED
    assert machine.report(b"1", b"x", 1) == (Answer.GIVEN_BACK, [])
    assert machine.fail(b"1", FAILURE_REASON_TRAINING, 1) == (Answer.GIVEN_BACK, [])


@given(st.lists(st.integers(0, 30), max_size=8))
def test_ticking_more_often_changes_no_answer(moments):
    often, seldom = RoundMachine(RULE, 0, 0.0), RoundMachine(RULE, 0, 0.0)
    for machine in (often, seldom):
        machine.check_in(b"1", 0)
        machine.check_in(b"2", 0)
    # Within one attempt: an attempt begins when its predecessor is seen to be over.
    for moment in sorted(moment for moment in moments if moment < 10):
        often.tick(moment)
        assert often.judge(b"1", b"x", moment) is seldom.judge(b"1", b"x", moment)
    assert often.report(b"1", b"x", 9.5)[0] is seldom.report(b"1", b"x", 9.5)[0]
    assert often.check_in(b"3", 9.5)[0] is seldom.check_in(b"3", 9.5)[0]


@pytest.mark.parametrize(
    ("goal", "over_selection", "places"), [(10, 0.7, 17), (10, 0.3, 13), (94, 1, 188), (3, 0, 3), (3, 0.3, 3)]
)
def test_places_are_the_goal_and_the_over_selection_rounded_down(tools, goal, over_selection, places):
    assert Rule.of(tools.closing(goal, over_selection=over_selection)).places == places


@given(st.data())
def test_over_all_attempts_never_more_than_the_maximum_are_acknowledged(tools, data):
    maximum = data.draw(st.integers(1, 30))
    goal = data.draw(st.integers(1, maximum))
    over_selection = data.draw(st.floats(0, 3, width=32))
    rule = Rule.of(tools.closing(goal, maximum=maximum, over_selection=over_selection, deadline=10, lease=1000))
    machine, now, keys, acknowledged = RoundMachine(rule, 0, 0.0), 0.0, [], 0
    while machine.state == ROUND_STATE_COLLECTING:  # all places are always taken, and the leases outlive attempts
        while machine.check_in(key := b"%d" % len(keys), now)[0] is Answer.ACCEPTED:
            keys.append(key)
        now += data.draw(st.sampled_from([0, 10]))
        index = data.draw(st.integers(0, len(keys) - 1))
        acknowledged += machine.report(keys[index], b"x", now)[0] is Answer.ACCEPTED
    acknowledged += sum(machine.report(key, b"x", now)[0] is Answer.ACCEPTED for key in keys)
    assert acknowledged == goal <= maximum


def test_a_paused_round_counts_what_is_out_and_may_close():
    machine = RoundMachine(RULE, 0, 0.0)
    for key in (b"1", b"2"):
        machine.check_in(key, 0)
    machine.paused = True
    assert machine.check_in(b"3", 1) == (Answer.PAUSED, [])
    assert machine.report(b"1", b"x", 1) == (Answer.ACCEPTED, [Reported(b"1", b"x")])
    assert machine.report(b"2", b"y", 2) == (Answer.ACCEPTED, [Reported(b"2", b"y"), Closed(0)])
    machine = RoundMachine(RULE, 0, 0.0)
    machine.check_in(b"1", 0)
    machine.paused = True
    machine.report(b"1", b"x", 1)
    assert machine.tick(10) == [Closed(0)]


def test_a_paused_round_is_abandoned_only_after_it_is_resumed():
    machine = RoundMachine(RULE, 0, 0.0, paused=True)
    assert machine.tick(99) == []
    machine.paused = False
    assert machine.tick(100) == [Abandoned(0)]
    assert machine.opened == 100


def test_a_stopped_round_takes_nothing_and_tells_the_late_and_the_reported_apart():
    machine = RoundMachine(RULE, 0, 0.0)
    for key in (b"1", b"2"):
        machine.check_in(key, 0)
    machine.report(b"1", b"x", 1)
    machine.stop()
    assert machine.report(b"1", b"x", 2) == (Answer.REPEATED, [])
    assert machine.report(b"2", b"y", 2) == (Answer.STOPPED, [])
    assert machine.fail(b"2", FAILURE_REASON_TRAINING, 2) == (Answer.STOPPED, [])
    assert machine.report(b"2", b"y", 4) == (Answer.LATE, [])
    assert machine.tick(1000) == []


TIMES = st.integers(0, 1000)


@given(now=TIMES, opened=TIMES, deadlines=st.lists(TIMES, max_size=3))
def test_wherever_the_clock_was_set_leases_and_attempts_end_when_the_rule_says_so(now, opened, deadlines):
    leases = {b"%d" % n: Lease(ASSIGNMENT_STATE_ASSIGNED, deadline) for n, deadline in enumerate(deadlines)}
    machine = RoundMachine(RULE, 0, opened, leases=leases, now=now)
    machine.tick(now + RULE.lease)
    assert machine.live == 0
    machine.tick(now + RULE.deadline)
    assert machine.attempt >= 1


def test_a_forward_jump_ends_leases_early_and_keeps_contributions():
    leases = {b"1": Lease(ASSIGNMENT_STATE_REPORTED, 4, b"x"), b"2": Lease(ASSIGNMENT_STATE_ASSIGNED, 4)}
    machine = RoundMachine(Rule(goal=3, minimum=2, places=3, deadline=10, lease=4), 0, 0.0, leases=leases, now=1e6)
    assert machine.tick(1e6) == [Expired(b"2"), Abandoned(0)]
    assert machine.report(b"2", b"y", 1e6) == (Answer.LATE, [])
    assert machine.report(b"1", b"x", 1e6) == (Answer.REPEATED, [])
    assert machine.reported == 1


def test_a_round_with_secure_sums_waits_for_its_key_and_freezes_its_set():
    machine = RoundMachine(replace(RULE, hidden=True), 0, 0.0)
    assert machine.check_in(b"1", 0) == (Answer.CLOSED, [])
    machine.locked = False
    for key in (b"1", b"2", b"3"):
        machine.check_in(key, 1)
    machine.report(b"1", b"x", 2)
    assert machine.report(b"2", b"y", 2) == (Answer.ACCEPTED, [Reported(b"2", b"y"), Frozen(0)])
    assert (machine.state, machine.frozen) == (ROUND_STATE_OPENING, 2)
    assert machine.report(b"3", b"z", 2) == (Answer.CLOSED, [])
    assert machine.tick(50) == []


def test_refusals_leave_the_others_and_too_many_begin_the_next_attempt_with_them():
    machine = RoundMachine(Rule(goal=3, minimum=2, places=3, deadline=10, lease=8, hidden=True), 0, 0.0)
    machine.locked = False
    for key in (b"1", b"2", b"3"):
        machine.check_in(key, 1)
        machine.report(key, b"x", 1)
    assert machine.refuse([b"1"], 5) == [Refused(b"1")]
    assert machine.state == ROUND_STATE_OPENING
    assert machine.report(b"1", b"x", 5) == (Answer.REPEATED, [])
    assert machine.report(b"1", b"y", 5) == (Answer.DIFFERENT, [])
    assert machine.refuse([b"3"], 6) == [Refused(b"3"), Abandoned(0, frozen=True)]
    assert (machine.state, machine.attempt, machine.opened) == (ROUND_STATE_COLLECTING, 1, 6)
    assert (machine.reported, machine.refused) == (1, 2)
    assert machine.check_in(b"4", 7)[0] is Answer.ACCEPTED
