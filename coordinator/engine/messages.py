"""Tasks, rounds and assignments as messages."""

from collections.abc import Callable

from coordinator.model import pace
from coordinator.model.open_task import OpenTask
from coordinator.store.rows import RoundSummary
from coordinator.store.task_rows import TaskRow
from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_ASSIGNED,
    ASSIGNMENT_STATE_EXPIRED,
    ASSIGNMENT_STATE_FAILED,
    ASSIGNMENT_STATE_REFUSED,
    ASSIGNMENT_STATE_REPORTED,
    ROUND_STATE_OPENING,
    ContributionNorms,
    Round,
    SecureSumsStatus,
    Task,
)
from fedau2.v1.device_pb2 import Assignment, CheckInResponse, ModelVersion, Rejection, RejectionReason
from fedau2.v1.task_pb2 import ClientVersions, ClosingRule, EncodedCheckpoint, Resource, RetryWindow
from fedau2.v1.unmasker_pb2 import LogHead
from fedau2.wire.secure import privacy

Size = Callable[[bytes], int]
"""Length of the blob with this hash."""


def assignment(row: TaskRow, task: OpenTask, assignment_id: bytes, size: Size) -> Assignment:
    """Describes a place in the open round to its device.

    Args:
        row: the task as it is stored.
        task: the same task.
        assignment_id: id of the place.
        size: gives the length of a served blob.
    """
    return Assignment(
        assignment_id=assignment_id,
        task_id=row.task_id,
        round=row.given_round,
        manifest=Resource(sha256=row.manifest, size=size(row.manifest)),
        checkpoint=Resource(sha256=row.checkpoint, size=size(row.checkpoint)),
        lease=task.spec.closing.lease,
        next_check_in=pace.unheard(task.spec.rule).message(),
        bound=task.spec.bound,
        encoded=_encoded(row, size),
        round_key=task.round_key,
    )


def newest_model(row: TaskRow, size: Size) -> ModelVersion | None:
    """Names a task's newest model to devices; None if its blobs are lost, as those of a task that is over may be.

    Args:
        row: the task as it is stored.
        size: gives the length of a served blob.
    """
    try:
        manifest, checkpoint = (Resource(sha256=hash, size=size(hash)) for hash in (row.manifest, row.checkpoint))
        encoded = _encoded(row, size)
    except FileNotFoundError:
        return None
    number = row.given_round
    return ModelVersion(task_id=row.task_id, round=number, manifest=manifest, checkpoint=checkpoint, encoded=encoded)


def _encoded(row: TaskRow, size: Size) -> EncodedCheckpoint | None:
    if not row.encoded:
        return None
    return EncodedCheckpoint(encoding=row.encoding, resource=Resource(sha256=row.encoded, size=size(row.encoded)))


def rejected(
    reason: RejectionReason.ValueType, retry: RetryWindow, model: ModelVersion | None = None
) -> CheckInResponse:
    """Answers a check-in that is turned away, with the model that the device may fetch all the same."""
    return CheckInResponse(rejection=Rejection(reason=reason, retry=retry, model=model))


def task_message(row: TaskRow, task: OpenTask | None, size: Size, seen: LogHead | None = None) -> Task:
    """Describes a task to operators.

    Args:
        row: the task as it is stored.
        task: the same task, if it has an open round.
        size: gives the length of a served blob.
        seen: the newest head of the unmasker's log.
    """
    message = Task(
        task_id=row.task_id,
        population=row.population,
        state=row.state,
        rounds=row.rounds,
        round=row.round,
        checkpoint=Resource(sha256=row.checkpoint, size=size(row.checkpoint)),
        closing=ClosingRule.FromString(row.closing),
        manifest=Resource(sha256=row.manifest, size=size(row.manifest)),
        versions=ClientVersions.FromString(row.versions),
        kept_rounds=[model.round for model in row.kept],
        norms=_norms(row.norms),
        first_round=row.skipped,
        encoded=_encoded(row, size),
    )
    message.created.FromMicroseconds(round(row.created * 1e6))
    if task is not None:
        message.round_state = task.round.state
        message.attempt = task.round.attempt
        message.reported = task.round.reported
        message.live_leases = task.round.live
        if task.spec.hidden:
            message.secure_sums.CopyFrom(_secure_sums(row, task, seen))
    return message


def _secure_sums(row: TaskRow, task: OpenTask, seen: LogHead | None) -> SecureSumsStatus:
    policy, machine = task.spec.manifest.secure_sums, task.round
    message = SecureSumsStatus(
        refused=machine.refused, last_error=task.opening_error, keyed=bool(task.round_key), seen=seen
    )
    if machine.state == ROUND_STATE_OPENING:
        message.opening_since.FromMicroseconds(round(machine.frozen * 1e6))
    # Numbers that were skipped may have had sums too, so this is the most that there were.
    sums = row.given_round - task.spec.manifest.first_round
    if policy.noise_multiplier and sums:
        distance = privacy.mu(min(sums, policy.max_participations), policy.noise_multiplier)
        message.epsilon, message.delta = privacy.epsilon(distance, privacy.SERVED_DELTA), privacy.SERVED_DELTA
    return message


def _norms(stored: bytes) -> ContributionNorms | None:
    return ContributionNorms.FromString(stored) if stored else None


def open_round(task: OpenTask) -> Round:
    """Describes the open round of a task to operators."""
    machine = task.round
    message = Round(
        task_id=task.task_id,
        round=machine.number,
        attempt=machine.attempt,
        state=machine.state,
        live_leases=machine.live,
        reported=machine.reported,
        failed=machine.failed,
        expired=machine.expired,
        refused=machine.refused,
    )
    message.opened.FromMicroseconds(round(machine.opened * 1e6))
    return message


def past_round(task_id: str, summary: RoundSummary) -> Round:
    """Describes a round of the ledger to operators."""
    counts = summary.assignments
    message = Round(
        task_id=task_id,
        round=summary.number,
        attempt=summary.newest.attempt,
        state=summary.newest.state,
        live_leases=counts.get(ASSIGNMENT_STATE_ASSIGNED, 0),
        reported=counts.get(ASSIGNMENT_STATE_REPORTED, 0),
        failed=counts.get(ASSIGNMENT_STATE_FAILED, 0),
        expired=counts.get(ASSIGNMENT_STATE_EXPIRED, 0),
        refused=counts.get(ASSIGNMENT_STATE_REFUSED, 0),
        checkpoint=summary.checkpoint,
        norms=_norms(summary.norms),
    )
    message.opened.FromMicroseconds(round(summary.newest.opened * 1e6))
    if summary.committed is not None:
        message.committed.FromMicroseconds(round(summary.committed * 1e6))
    return message
