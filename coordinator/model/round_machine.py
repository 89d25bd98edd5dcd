"""One round of one task as a pure state machine: events and the time go in, effects come out (design section 4).

The machine has no clock, no I/O and no randomness: `now` (in seconds) and ids are passed in. A transition happens here
first; the caller makes its effects durable in the order in which they came, and answers devices only then. A closed
round has no more effects.
"""

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from coordinator.model.closing import Rule
from coordinator.model.effects import Abandoned, Assigned, Closed, Effect, Expired, Failed, Frozen, Refused, Reported
from coordinator.model.leases import Admitted, Answer, Lease, judged, outliving
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
    AssignmentState,
    RoundState,
)
from fedau2.v1.device_pb2 import FailureReason


class RoundMachine:
    """The open round of a task.

    However many leases are out, and over all attempts, it acknowledges at most `goal` contributions: the contribution
    that reaches the goal closes the round. So never more than `ClosingRule.maximum` are added, and values are bounded
    so that this many cannot overflow.

    Args:
        rule: the task's closing rule.
        number: committed rounds before this one.
        opened: time at which the attempt began, in seconds.
        attempt: number of the attempt, from 0.
        state: collecting, opening or aggregating.
        leases: the round's assignments so far, by id.
        paused: the round begins paused.
        now: the time, for a stored round. The clock may have gone back since it was stored. So that the round waits no
            longer than the rule allows, a lease ends at most its length from now, and the attempt has begun.
        frozen: time at which the contributions of an opening round were fixed, in seconds.

    Attributes:
        locked: the round takes nobody, because it has secure sums and no key yet. May be set.
        paused: the round takes no check-ins and is not abandoned. Its live leases still count, and it may close. May be
            set.
        held: the round takes nobody, because the task is about to be replaced. May be set.
        covered: time at which contributions and live leases first reached the goal, in seconds; None before.
    """

    def __init__(
        self,
        rule: Rule,
        number: int,
        opened: float,
        attempt: int = 0,
        state: RoundState.ValueType = ROUND_STATE_COLLECTING,
        leases: Mapping[bytes, Lease] | None = None,
        paused: bool = False,
        now: float = math.inf,
        frozen: float = 0.0,
    ) -> None:
        self._rule = rule
        self.number = number
        self.opened = min(opened, now)
        self.attempt = attempt
        self.state = state
        self.paused = paused
        self.held = False
        self.locked = rule.hidden
        self.frozen = min(frozen, now)
        latest = now + rule.lease
        self._leases = {
            key: replace(lease, deadline=min(lease.deadline, latest)) for key, lease in (leases or {}).items()
        }
        self._admitted = Admitted(self._leases)
        self._due = [(lease.deadline, key) for key, lease in self._leases.items()]
        heapq.heapify(self._due)
        self.reported = self._count(ASSIGNMENT_STATE_REPORTED)
        self.live = self._count(ASSIGNMENT_STATE_ASSIGNED)
        self.failed = self._count(ASSIGNMENT_STATE_FAILED)
        self.expired = self._count(ASSIGNMENT_STATE_EXPIRED)
        self.refused = self._count(ASSIGNMENT_STATE_REFUSED)
        self.covered = self.opened if self.reported + self.live >= rule.goal else None

    def live_ids(self) -> list[bytes]:
        """Lists the assignments whose leases are live."""
        return [key for key, lease in self._leases.items() if lease.state == ASSIGNMENT_STATE_ASSIGNED]

    def outliving(self) -> dict[bytes, Lease]:
        """Returns the live leases that go on in the next round, as they are there: of a buffered task alone."""
        return outliving(self._leases, self._rule.most_stale)

    @property
    def untouched(self) -> bool:
        """Nobody has a place in the round, and nobody has contributed to it."""
        return self.state == ROUND_STATE_COLLECTING and not self.reported and not self.live

    def _count(self, state: AssignmentState.ValueType) -> int:
        return sum(lease.state == state for lease in self._leases.values())

    def __contains__(self, assignment_id: bytes) -> bool:
        return assignment_id in self._leases

    def deadline(self, assignment_id: bytes) -> float:
        """Returns when the lease of one of the round's assignments ends, in seconds."""
        return self._leases[assignment_id].deadline

    def offer(self, now: float, admission: bytes = b"") -> tuple[Answer, list[Effect]]:
        """Returns the answer that `check_in` would give; its effects are those of the time that has passed."""
        effects = self.tick(now)
        if self.paused:
            return Answer.PAUSED, effects
        if self.held or self.locked or self.state != ROUND_STATE_COLLECTING:
            return Answer.CLOSED, effects
        if (answer := judged(self._leases.get(self._admitted.place(admission) or b""))) is not None:
            return answer, effects
        # A slow device must not keep a place from the others, so a buffered round counts places by live leases alone.
        taken = self.live if self._rule.most_stale else self.live + self.reported
        return Answer.FULL if taken >= self._rule.places else Answer.ACCEPTED, effects

    def place(self, admission: bytes) -> bytes:
        """Returns the id of the newest place that an admission has brought, which has brought one."""
        place = self._admitted.place(admission)
        assert place is not None
        return place

    def check_in(self, assignment_id: bytes, now: float, admission: bytes = b"") -> tuple[Answer, list[Effect]]:
        """Handles a device that offers itself.

        Args:
            assignment_id: a fresh id, which the device gets if it is accepted.
            now: in seconds.
            admission: hash of the valid admission that is spent; empty: none is asked for.

        Returns:
            ACCEPTED, PAUSED, CLOSED, FULL, HELD or SPENT; and the effects.
        """
        answer, effects = self.offer(now, admission)
        if answer is not Answer.ACCEPTED:
            return answer, effects
        lease = Lease(ASSIGNMENT_STATE_ASSIGNED, now + self._rule.lease, admission=admission)
        self._leases[assignment_id] = lease
        self._admitted.note(admission, assignment_id)
        heapq.heappush(self._due, (lease.deadline, assignment_id))
        self.live += 1
        if self.covered is None and self.reported + self.live >= self._rule.goal:
            self.covered = now
        return Answer.ACCEPTED, [*effects, Assigned(assignment_id, self.attempt, lease.deadline, admission)]

    def judge(self, assignment_id: bytes, sha256: bytes, now: float) -> Answer:
        """Returns the answer that `report` would give; changes nothing."""
        lease = self._leases.get(assignment_id)
        if lease is None:
            return Answer.UNKNOWN
        if lease.state in (ASSIGNMENT_STATE_REPORTED, ASSIGNMENT_STATE_REFUSED):
            return Answer.REPEATED if lease.sha256 == sha256 else Answer.DIFFERENT
        if lease.state == ASSIGNMENT_STATE_FAILED:
            return Answer.GIVEN_BACK
        if lease.state == ASSIGNMENT_STATE_EXPIRED or lease.deadline <= now:
            return Answer.LATE
        if self.state == ROUND_STATE_ABANDONED:
            return Answer.STOPPED
        if self.state == ROUND_STATE_COLLECTING:
            return Answer.ACCEPTED
        if not self._rule.most_stale:
            return Answer.CLOSED
        return Answer.CLOSING if lease.staleness < self._rule.most_stale else Answer.STALE

    def report(self, assignment_id: bytes, sha256: bytes, now: float) -> tuple[Answer, list[Effect]]:
        """Handles a valid contribution that has arrived whole."""
        effects = self.tick(now)
        answer = self.judge(assignment_id, sha256, now)
        if answer is Answer.ACCEPTED:
            staleness = self._leases[assignment_id].staleness
            self._end(assignment_id, ASSIGNMENT_STATE_REPORTED, sha256)
            self.reported += 1
            effects = [*effects, Reported(assignment_id, sha256, staleness), *self._settle(now)]
        return answer, effects

    def fail(self, assignment_id: bytes, reason: FailureReason.ValueType, now: float) -> tuple[Answer, list[Effect]]:
        """Handles a device that gives its place back."""
        effects = self.tick(now)
        answer = self.judge(assignment_id, b"", now)
        if answer is Answer.ACCEPTED:
            self._end(assignment_id, ASSIGNMENT_STATE_FAILED)
            effects = [*effects, Failed(assignment_id, reason)]
        return answer, effects

    def tick(self, now: float) -> list[Effect]:
        """Handles the passing of time. Every other event ticks first, so the number of calls changes no answer."""
        if self.state != ROUND_STATE_COLLECTING:
            return []
        effects: list[Effect] = []
        while self._due and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            if self._leases[key].state == ASSIGNMENT_STATE_ASSIGNED:
                self._end(key, ASSIGNMENT_STATE_EXPIRED)
                effects.append(Expired(key))
        return effects + self._settle(now)

    def refuse(self, assignment_ids: Iterable[bytes], now: float) -> list[Effect]:
        """Handles contributions of an opening round that the unmasker does not count.

        If too few are left, the round collects again, as its next attempt.
        """
        effects: list[Effect] = []
        for key in assignment_ids:
            lease = self._leases[key]
            if lease.state == ASSIGNMENT_STATE_REPORTED:
                self._leases[key] = replace(lease, state=ASSIGNMENT_STATE_REFUSED)
                effects.append(Refused(key))
        self.reported -= len(effects)
        self.refused += len(effects)
        if self.reported < self._rule.minimum:
            effects.append(Abandoned(self.attempt, frozen=True))
            self.state, self.attempt, self.opened = ROUND_STATE_COLLECTING, self.attempt + 1, now
        return effects

    def open(self) -> None:
        """The sum of an opening round has been opened. The caller makes that durable."""
        self.state = ROUND_STATE_AGGREGATING

    def stop(self) -> None:
        """Ends the round, because it or the task is given up. The caller ends the attempt and the leases."""
        self.state = ROUND_STATE_ABANDONED

    def _end(self, key: bytes, state: AssignmentState.ValueType, sha256: bytes = b"") -> None:
        self._leases[key] = replace(self._leases[key], state=state, sha256=sha256)
        self.live -= 1
        self.failed += state == ASSIGNMENT_STATE_FAILED
        self.expired += state == ASSIGNMENT_STATE_EXPIRED

    def _settle(self, now: float) -> list[Effect]:
        over = now >= self.opened + self._rule.deadline
        if self.reported >= self._rule.goal or (over and self.reported >= self._rule.minimum):
            self.state, self.frozen = ROUND_STATE_OPENING if self._rule.hidden else ROUND_STATE_AGGREGATING, now
            return [Frozen(self.attempt) if self._rule.hidden else Closed(self.attempt)]
        if not over or self.paused or self.held:
            return []
        self.attempt += 1
        self.opened = now
        return [Abandoned(self.attempt - 1)]
