"""A running task as the event loop sees it, and how verdicts and tasks are put into messages."""

from collections.abc import Callable
from dataclasses import dataclass

from coordinator import pace
from coordinator.errors import (
    DifferentContributionError,
    GivenBackError,
    LeaseOverError,
    RefusalError,
    RoundClosedError,
    UnknownError,
)
from coordinator.ledger import AssignmentRow, TaskRow
from coordinator.rounds import Round, Rule, Verdict
from coordinator.streams import TaskSpec
from fedau2.v1.admin_pb2 import ASSIGNMENT_STATE_FAILED, ASSIGNMENT_STATE_REPORTED, Task
from fedau2.v1.device_pb2 import Assignment
from fedau2.v1.task_pb2 import ClosingRule, Resource
from fedau2.wire import fixed

Size = Callable[[bytes], int]
"""Length of the blob with this hash."""


@dataclass(eq=False)
class LiveTask:
    """A running task.

    Attributes:
        row: as it was last committed.
        spec: its manifest and closing rule.
        round: the open round.
    """

    row: TaskRow
    spec: TaskSpec
    round: Round

    def advance(self, row: TaskRow, at: float) -> None:
        """Opens the next round after a commit."""
        self.row = row
        self.round = Round(Rule.of(ClosingRule.FromString(row.closing)), row.round, at)

    def assignment(self, assignment_id: bytes, size: Size) -> Assignment:
        """What a device is told that got this place."""
        closing = ClosingRule.FromString(self.row.closing)
        return Assignment(
            assignment_id=assignment_id,
            task_id=self.row.task_id,
            round=self.row.round,
            manifest=Resource(sha256=self.row.manifest, size=size(self.row.manifest)),
            checkpoint=Resource(sha256=self.row.checkpoint, size=size(self.row.checkpoint)),
            lease=closing.lease,
            next_check_in=pace.NEXT,
            bound=fixed.bound(closing.maximum),
        )


def message(row: TaskRow, live: LiveTask | None, size: Size) -> Task:
    """A task as operators see it.

    Args:
        row: the task.
        live: the running task of its population, if there is one.
        size: of a served blob.
    """
    task = Task(
        task_id=row.task_id,
        population=row.population,
        state=row.state,
        rounds=row.rounds,
        round=row.round,
        checkpoint=Resource(sha256=row.checkpoint, size=size(row.checkpoint)),
        closing=ClosingRule.FromString(row.closing),
        manifest=Resource(sha256=row.manifest, size=size(row.manifest)),
    )
    task.created.FromMicroseconds(round(row.created * 1e6))
    if live is not None and live.row is row:
        task.round_state = live.round.state
        task.attempt = live.round.attempt
        task.reported = live.round.reported
        task.live_leases = live.round.live
    return task


def verdict_of(row: AssignmentRow | None, sha256: bytes) -> Verdict:
    """What becomes of a report for an assignment of a round that is over, or for none."""
    if row is None:
        return Verdict.UNKNOWN
    if row.state == ASSIGNMENT_STATE_REPORTED:
        return Verdict.REPEATED if row.sha256 == sha256 else Verdict.DIFFERENT
    return Verdict.GIVEN_BACK if row.state == ASSIGNMENT_STATE_FAILED else Verdict.CLOSED


def refusal(verdict: Verdict) -> RefusalError:
    """The error that tells a device why its report was not accepted."""
    match verdict:
        case Verdict.DIFFERENT:
            return DifferentContributionError("the assignment has been reported already, with another contribution")
        case Verdict.GIVEN_BACK:
            return GivenBackError("the assignment has been given back; check in for another")
        case Verdict.LATE:
            return LeaseOverError("the assignment's lease is over; check in for another", pace.NEXT)
        case Verdict.CLOSED:
            return RoundClosedError("the round has its contributions; check in for the next", pace.NEXT)
        case _:
            return UnknownError("no such assignment; check in for one")
