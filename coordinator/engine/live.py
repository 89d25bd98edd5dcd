"""A running task as the event loop sees it, and how verdicts and tasks are put into messages."""

from collections.abc import Callable
from dataclasses import dataclass, field

from coordinator.engine.streams import TaskSpec
from coordinator.errors import (
    DifferentContributionError,
    GivenBackError,
    LeaseOverError,
    RefusalError,
    RoundClosedError,
    UnknownError,
)
from coordinator.model import pace
from coordinator.model.admission import VersionRange
from coordinator.model.pace import Pace
from coordinator.model.rounds import Round, Rule, Verdict
from coordinator.store.ledger import AssignmentRow, RoundSummary, TaskRow
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_ASSIGNED,
    ASSIGNMENT_STATE_EXPIRED,
    ASSIGNMENT_STATE_FAILED,
    ASSIGNMENT_STATE_REPORTED,
    TASK_STATE_PAUSED,
    TASK_STATE_STOPPED,
    Task,
)
from fedau2.v1.admin_pb2 import Round as RoundMessage
from fedau2.v1.device_pb2 import Assignment
from fedau2.v1.task_pb2 import ClientVersions, ClosingRule, Resource, RetryWindow
from fedau2.wire import fixed

Size = Callable[[bytes], int]
"""Length of the blob with this hash."""


@dataclass(eq=False)
class LiveTask:
    """A task with an open round: running or paused.

    Attributes:
        row: as it was last stored.
        spec: its manifest and closing rule.
        round: the open round.
        rule: its closing rule as the round uses it.
        versions: of the SDK that may take part.
        pace: when its devices come back.
    """

    row: TaskRow
    spec: TaskSpec
    round: Round
    rule: Rule = field(init=False)
    versions: VersionRange = field(init=False)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.rule = Rule.of(ClosingRule.FromString(self.row.closing))
        self.versions = VersionRange.of(ClientVersions.FromString(self.row.versions))
        self.pace = Pace(self.rule, max(1, self.spec.manifest.plan.minimum_separation))

    def advance(self, row: TaskRow, at: float) -> None:
        """Opens the next round after a commit."""
        self.pace.committed(self.round, at)
        self.round = Round(self.rule, row.round, at)
        self.update(row)

    def update(self, row: TaskRow) -> None:
        """Takes over how the task is stored now."""
        self.row = row
        self.round.paused = row.state == TASK_STATE_PAUSED

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
            next_check_in=pace.unheard(self.rule).message(),
            bound=fixed.bound(closing.maximum),
        )


def message(row: TaskRow, live: LiveTask | None, size: Size) -> Task:
    """A task as operators see it.

    Args:
        row: the task.
        live: the same, if it has an open round.
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
        versions=ClientVersions.FromString(row.versions),
    )
    task.created.FromMicroseconds(round(row.created * 1e6))
    if live is not None:
        task.round_state = live.round.state
        task.attempt = live.round.attempt
        task.reported = live.round.reported
        task.live_leases = live.round.live
    return task


def open_round(task: LiveTask) -> RoundMessage:
    """The open round as operators see it."""
    here = task.round
    message = RoundMessage(
        task_id=task.row.task_id,
        round=here.number,
        attempt=here.attempt,
        state=here.state,
        live_leases=here.live,
        reported=here.reported,
        failed=here.failed,
        expired=here.expired,
    )
    message.opened.FromMicroseconds(round(here.opened * 1e6))
    return message


def past_round(task_id: str, summary: RoundSummary) -> RoundMessage:
    """A round of the ledger as operators see it."""
    counts = summary.assignments
    message = RoundMessage(
        task_id=task_id,
        round=summary.number,
        attempt=summary.newest.attempt,
        state=summary.newest.state,
        live_leases=counts.get(ASSIGNMENT_STATE_ASSIGNED, 0),
        reported=counts.get(ASSIGNMENT_STATE_REPORTED, 0),
        failed=counts.get(ASSIGNMENT_STATE_FAILED, 0),
        expired=counts.get(ASSIGNMENT_STATE_EXPIRED, 0),
        checkpoint=summary.checkpoint,
    )
    message.opened.FromMicroseconds(round(summary.newest.opened * 1e6))
    if summary.committed is not None:
        message.committed.FromMicroseconds(round(summary.committed * 1e6))
    return message


def verdict_of(row: AssignmentRow, task: TaskRow, sha256: bytes) -> Verdict:
    """What becomes of a report for an assignment of a round that is over."""
    if row.state == ASSIGNMENT_STATE_REPORTED:
        return Verdict.REPEATED if row.sha256 == sha256 else Verdict.DIFFERENT
    if row.state == ASSIGNMENT_STATE_FAILED:
        return Verdict.GIVEN_BACK
    return Verdict.STOPPED if task.state == TASK_STATE_STOPPED else Verdict.CLOSED


def refusal(verdict: Verdict, retry: RetryWindow) -> RefusalError:
    """The error that tells a device why its report was not accepted, and when to come back."""
    match verdict:
        case Verdict.DIFFERENT:
            return DifferentContributionError(
                "the assignment has been reported already, with another contribution", retry
            )
        case Verdict.GIVEN_BACK:
            return GivenBackError("the assignment has been given back; check in for another", retry)
        case Verdict.LATE:
            return LeaseOverError("the assignment's lease is over; check in for another", retry)
        case Verdict.CLOSED:
            return RoundClosedError("the round has its contributions; check in for the next", retry)
        case Verdict.STOPPED:
            return RoundClosedError("the task was stopped; check in for another", retry)
        case _:
            return UnknownError("no such assignment; check in for one", retry)
