"""The round's state machine: invariants over any run of events, and its rules one by one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coordinator.rounds import Abandoned, Assigned, Closed, Expired, Failed, Lease, Reported, Round, Rule, Verdict
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_ASSIGNED,
    ASSIGNMENT_STATE_EXPIRED,
    ASSIGNMENT_STATE_FAILED,
    ASSIGNMENT_STATE_REPORTED,
    ROUND_STATE_AGGREGATING,
    ROUND_STATE_COLLECTING,
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
    )
    def begin(self, goal, spare, short, deadline, lease):
        self.rule = Rule(goal, max(1, goal - short), goal + spare, deadline, lease)
        self.round = Round(self.rule, 5, 0.0)
        self.now, self.ids, self.closed = 0.0, 0, False
        self.leases, self.attempt, self.opened = {}, 0, 0.0

    def apply(self, effects):
        assert not (self.closed and effects), "a closed round has no more effects"
        for effect in effects:
            match effect:
                case Assigned(key, attempt, deadline):
                    assert key not in self.leases
                    assert attempt == self.attempt
                    self.leases[key] = Lease(ASSIGNMENT_STATE_ASSIGNED, deadline)
                case Abandoned(attempt):
                    assert attempt == self.attempt
                    assert self.reported() < self.rule.minimum
                    assert self.now >= self.opened + self.rule.deadline
                    self.attempt, self.opened = attempt + 1, self.now
                case Closed(attempt):
                    assert attempt == self.attempt
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
        verdict, effects = self.round.check_in(b"%d" % self.ids, self.now)
        self.apply(effects)
        assert (verdict is Verdict.ACCEPTED) == any(isinstance(effect, Assigned) for effect in effects)
        assert (verdict is Verdict.CLOSED) == self.closed

    @rule(number=st.integers(0, 12), sha256=st.sampled_from([b"a", b"b"]))
    def report(self, number, sha256):
        key = b"%d" % number
        before = self.leases.get(key)
        expected = self.round.judge(key, sha256, self.now)
        verdict, effects = self.round.report(key, sha256, self.now)
        self.apply(effects)
        if not any(isinstance(effect, Closed) for effect in effects[:1]):
            assert verdict is expected, "judge says what report will say"
        assert (verdict is Verdict.ACCEPTED) == (Reported(key, sha256) in effects)
        assert (verdict is Verdict.UNKNOWN) == (before is None)
        if before is not None and before.state == ASSIGNMENT_STATE_REPORTED:
            assert verdict is (Verdict.REPEATED if before.sha256 == sha256 else Verdict.DIFFERENT)

    @rule(number=st.integers(0, 12))
    def fail(self, number):
        verdict, effects = self.round.fail(b"%d" % number, FAILURE_REASON_TRAINING, self.now)
        self.apply(effects)
        assert (verdict is Verdict.ACCEPTED) == (Failed(b"%d" % number, FAILURE_REASON_TRAINING) in effects)

    @rule(seconds=st.integers(-6, 12))
    def wait(self, seconds):
        self.now += seconds  # a clock may be set back

    @rule()
    def tick(self):
        self.apply(self.round.tick(self.now))

    @rule()
    def restart(self):
        state = ROUND_STATE_AGGREGATING if self.closed else ROUND_STATE_COLLECTING
        self.round = Round(self.rule, 5, self.opened, self.attempt, state, self.leases)

    @invariant()
    def what_it_says_of_itself_is_what_its_effects_say(self):
        assert (self.round.reported, self.round.live) == (self.reported(), self.live())
        assert self.round.attempt == self.attempt
        assert (self.round.state == ROUND_STATE_AGGREGATING) == self.closed
        assert all(key in self.round for key in self.leases)

    @invariant()
    def never_more_places_than_there_are_nor_more_contributions_than_the_goal(self):
        assert self.reported() + self.live() <= self.rule.places
        assert self.reported() <= self.rule.goal
        assert self.closed or self.reported() < self.rule.goal


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase

RULE = Rule(goal=2, minimum=1, places=3, deadline=10, lease=4)


def test_the_goal_closes_at_once():
    machine = Round(RULE, 0, 0.0)
    for key in (b"1", b"2", b"3"):
        machine.check_in(key, 1)
    assert machine.report(b"1", b"x", 2) == (Verdict.ACCEPTED, [Reported(b"1", b"x")])
    assert machine.report(b"2", b"y", 2) == (Verdict.ACCEPTED, [Reported(b"2", b"y"), Closed(0)])
    assert machine.report(b"3", b"z", 2) == (Verdict.CLOSED, [])
    assert machine.report(b"1", b"x", 2) == (Verdict.REPEATED, [])
    assert machine.report(b"1", b"z", 2) == (Verdict.DIFFERENT, [])
    assert machine.check_in(b"4", 2) == (Verdict.CLOSED, [])


def test_the_minimum_closes_at_the_deadline_and_not_before():
    machine = Round(RULE, 0, 0.0)
    machine.check_in(b"1", 8)
    machine.report(b"1", b"x", 9)
    assert machine.tick(9.9) == []
    assert machine.tick(10) == [Closed(0)]


def test_fewer_than_the_minimum_are_kept_for_the_next_attempt():
    machine = Round(Rule(goal=3, minimum=2, places=3, deadline=10, lease=8), 0, 0.0)
    machine.check_in(b"1", 1)
    machine.check_in(b"2", 7)
    machine.report(b"1", b"x", 2)
    assert machine.tick(10) == [Abandoned(0)]
    assert (machine.attempt, machine.opened, machine.reported, machine.live) == (1, 10, 1, 1)
    assert machine.report(b"2", b"y", 11) == (Verdict.ACCEPTED, [Reported(b"2", b"y")])
    assert machine.tick(20) == [Closed(1)]


def test_an_expired_lease_frees_its_place_and_comes_too_late():
    machine = Round(RULE, 0, 0.0)
    for key in (b"1", b"2", b"3"):
        machine.check_in(key, 0)
    assert machine.check_in(b"4", 3) == (Verdict.FULL, [])
    verdict, effects = machine.check_in(b"5", 4)
    assert verdict is Verdict.ACCEPTED
    assert effects == [Expired(b"1"), Expired(b"2"), Expired(b"3"), Assigned(b"5", 0, 8)]
    assert machine.report(b"1", b"x", 4) == (Verdict.LATE, [])


def test_a_place_that_is_given_back_is_free_and_stays_given_back():
    machine = Round(Rule(goal=1, minimum=1, places=1, deadline=10, lease=4), 0, 0.0)
    machine.check_in(b"1", 0)
    machine.fail(b"1", FAILURE_REASON_TRAINING, 1)
    assert machine.check_in(b"2", 1)[0] is Verdict.ACCEPTED
    assert machine.report(b"1", b"x", 1) == (Verdict.GIVEN_BACK, [])
    assert machine.fail(b"1", FAILURE_REASON_TRAINING, 1) == (Verdict.GIVEN_BACK, [])


@given(st.lists(st.integers(0, 30), max_size=8))
def test_ticking_more_often_changes_no_answer(moments):
    often, seldom = Round(RULE, 0, 0.0), Round(RULE, 0, 0.0)
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
