"""Buffered rounds of one task, one after another: what holds over any run of events."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coordinator.model.closing import Rule
from coordinator.model.effects import Assigned, Closed, Expired, Failed, Reported
from coordinator.model.leases import Answer
from coordinator.model.round_machine import RoundMachine
from fedau2.v1.admin_pb2 import ROUND_STATE_AGGREGATING
from fedau2.v1.device_pb2 import FAILURE_REASON_INTERRUPTED

IDENTITIES = 3


class Machine(RuleBasedStateMachine):
    """Commits each round that closes, at any later time. Identities get one admission to each round."""

    @initialize(
        goal=st.integers(1, 3),
        short=st.integers(0, 2),
        places=st.integers(0, 4),
        most_stale=st.integers(1, 3),
        lease=st.integers(1, 30),
    )
    def begin(self, goal, short, places, most_stale, lease):
        self.rule = Rule(goal, max(1, goal - short), goal + places, 20, lease, most_stale=most_stale)
        self.round, self.now = RoundMachine(self.rule, 0, 0.0), 0.0
        self.began, self.admissions, self.ended = {}, {}, Counter()
        self.counted = {}
        self.buffer = []

    def apply(self, effects):
        for effect in effects:
            match effect:
                case Assigned(key, _, _, admission):
                    self.began[key], self.admissions[key] = self.round.number, admission
                case Reported(key, _, staleness):
                    assert staleness == self.round.number - self.began[key]
                    self.buffer.append(key)
                    self.ended[key] += 1
                case Failed(key) | Expired(key):
                    self.ended[key] += 1
                case Closed():
                    assert self.rule.minimum <= len(self.buffer) <= self.rule.goal

    @rule(identity=st.integers(0, IDENTITIES - 1))
    def check_in(self, identity):
        key, admission = b"%d" % len(self.began), b"%d of %d" % (identity, self.round.number)
        answer, effects = self.round.check_in(key, self.now, admission)
        self.apply(effects)
        assert (answer is Answer.ACCEPTED) == (key in self.began)

    @rule(number=st.integers(0, 30))
    def report(self, number):
        key = b"%d" % number
        known = key in self.round
        answer, effects = self.round.report(key, b"x", self.now)
        self.apply(effects)
        assert known == (answer is not Answer.UNKNOWN)
        assert (answer is Answer.CLOSING) <= (self.round.state == ROUND_STATE_AGGREGATING)
        if answer is Answer.STALE:
            assert self.round.number - self.began[key] == self.rule.most_stale

    @rule(number=st.integers(0, 30))
    def fail(self, number):
        _, effects = self.round.fail(b"%d" % number, FAILURE_REASON_INTERRUPTED, self.now)
        self.apply(effects)

    @rule(seconds=st.integers(0, 12))
    def wait(self, seconds):
        self.now += seconds
        self.apply(self.round.tick(self.now))

    @rule()
    def commit(self):
        if self.round.state != ROUND_STATE_AGGREGATING:
            return
        live = set(self.round.live_ids())
        leases = self.round.outliving()
        assert {key for key in live if self.round.number - self.began[key] < self.rule.most_stale} == leases.keys()
        self.counted[self.round.number], self.buffer = self.buffer, []
        self.round = RoundMachine(self.rule, self.round.number + 1, self.now, leases=leases)

    @invariant()
    def bounds_hold(self):
        if not hasattr(self, "round"):
            return
        assert self.round.live <= self.rule.places
        assert self.round.reported == len(self.buffer) <= self.rule.goal
        assert max(self.ended.values(), default=0) <= 1, "an assignment ends once"
        for number, buffer in [*self.counted.items(), (self.round.number, self.buffer)]:
            assert all(0 <= number - self.began[key] <= self.rule.most_stale for key in buffer)
            of = Counter(self.admissions[key] for key in buffer)
            assert max(of.values(), default=0) <= 1, "an admission counts once"
            identities = Counter(self.admissions[key].split()[0] for key in buffer)
            assert max(identities.values(), default=0) <= self.rule.most_stale + 1


Machine.TestCase.settings = settings(deadline=None, max_examples=100, stateful_step_count=40, derandomize=True)
TestMachine = Machine.TestCase
