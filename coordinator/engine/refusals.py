"""Answers to a device's report: the answer for a round that is over, and the error for every answer but acceptance."""

from coordinator.errors import (
    DifferentContributionError,
    GivenBackError,
    LeaseOverError,
    RefusalError,
    RoundClosedError,
    StaleError,
    UnknownError,
)
from coordinator.model.leases import Answer
from coordinator.store.rows import AssignmentRow
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_EXPIRED,
    ASSIGNMENT_STATE_FAILED,
    ASSIGNMENT_STATE_REFUSED,
    ASSIGNMENT_STATE_REPORTED,
    TASK_STATE_STOPPED,
)
from fedau2.v1.task_pb2 import RetryWindow


def answer_of(row: AssignmentRow, task: TaskRow, sha256: bytes, most_stale: int) -> Answer:
    """Answers a report for an assignment of a round that is over.

    Args:
        row: the assignment.
        task: its task.
        sha256: hash of the contribution that is reported; empty for a failure.
        most_stale: rounds for which a place outlives its own; 0 of a task that is over.
    """
    if row.state in (ASSIGNMENT_STATE_REPORTED, ASSIGNMENT_STATE_REFUSED):
        return Answer.REPEATED if row.sha256 == sha256 else Answer.DIFFERENT
    if row.state == ASSIGNMENT_STATE_FAILED:
        return Answer.GIVEN_BACK
    if most_stale and task.round - row.round + row.staleness > most_stale:
        return Answer.STALE
    if most_stale and row.state == ASSIGNMENT_STATE_EXPIRED:
        return Answer.LATE
    return Answer.STOPPED if task.state == TASK_STATE_STOPPED else Answer.CLOSED


def refusal(answer: Answer, retry: RetryWindow) -> RefusalError:
    """Makes the error that says why a device's report was not accepted, and when to come back."""
    match answer:
        case Answer.DIFFERENT:
            return DifferentContributionError(
                "the assignment has been reported already, with another contribution", retry
            )
        case Answer.GIVEN_BACK:
            return GivenBackError("the assignment has been given back; check in for another", retry)
        case Answer.LATE:
            return LeaseOverError("the assignment's lease is over; check in for another", retry)
        case Answer.CLOSED:
            return RoundClosedError("the round has its contributions; check in for the next", retry)
        case Answer.STALE:
            return StaleError("too many rounds were committed since the check-in; check in for another place", retry)
        case Answer.STOPPED:
            return RoundClosedError("the task was stopped; check in for another", retry)
        case _:
            return UnknownError("no such assignment; check in for one", retry)
