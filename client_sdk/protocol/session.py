"""A device's side of one round, sans I/O (design section 5).

`session` is a generator that yields wishes and is sent the answers of the driver that carries them out. Errors outside
are thrown into it: `StatusError` for a refused call, `TransportError` for an unanswered one, `UnknownWishError` for a
wish that the driver does not know, `Interrupted` when the work must stop.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from client_sdk.errors import (
    AttributeValueError,
    DivergedError,
    DriverError,
    FedError,
    NoDataError,
    ResourceLimitError,
    StoreError,
    TaskError,
    TrainingError,
    UnknownWishError,
    UnsupportedTaskError,
    UntrustedTaskError,
)
from client_sdk.events import Event, Joined, Refused, Rejected, Trained, Uploaded
from client_sdk.protocol import defences
from client_sdk.protocol.interfaces import Engine, Store
from client_sdk.protocol.preparation import prepare
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Job, Staged, TrainingResult
from client_sdk.protocol.wishes import (
    Call,
    Interrupted,
    Outcome,
    Result,
    Train,
    Upload,
    Wish,
    ask,
)
from fedau2.v1 import device_pb2
from fedau2.v1.device_pb2 import Assignment, FailureReason, UploadHeader
from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire import blobs, contributions
from fedau2.wire.contributions import Rows
from fedau2.wire.status import Status, StatusError

Session = Generator[Wish, Any, Outcome]
Emit = Callable[[Event], None]

# The coordinator's final words on an upload. For DEADLINE_EXCEEDED see _is_final.
_FINAL = {
    Status.ABORTED,
    Status.ALREADY_EXISTS,
    Status.FAILED_PRECONDITION,
    Status.INVALID_ARGUMENT,
    Status.NOT_FOUND,
    Status.RESOURCE_EXHAUSTED,
}
_ANYBODY = Trust()
_GIVEN_BACK = (TaskError, AttributeValueError, StoreError, DriverError)
_UNSUPPORTED = (UnsupportedTaskError, UntrustedTaskError, ResourceLimitError, UnknownWishError)


def session(
    store: Store,
    engine: Engine,
    population: str,
    version: str,
    emit: Emit = lambda event: None,
    trust: Trust = _ANYBODY,
    without_place: bool = False,
) -> Session:
    """Makes one check-in and, if assigned, one contribution. An upload that was never answered is made again instead.

    Args:
        store: the client's state.
        engine: the engine that trains.
        population: name of the population that the client belongs to.
        version: the SDK's version.
        emit: called with each event as it happens.
        trust: checks whose tasks are run.
        without_place: True if the client could not use a place in a round; it asks for none then.

    Raises:
        TaskError, StoreError: the task cannot be run here, or the disk fails; the assignment has been given back.
        DriverError: the driver does not know a wish, or answered it wrongly; the assignment has been given back, unless
            the wish was the upload and may have been carried out.
        TransportError, StatusError: as thrown in; a staged contribution stays staged.
    """
    if staged := store.staged():
        return (yield from _upload(store, staged, emit))
    request = device_pb2.CheckInRequest(population=population, client_version=version, without_place=without_place)
    response = yield from ask(Call(request), device_pb2.CheckInResponse)
    if response.WhichOneof("result") != "assignment":
        reason = _name(response.rejection.reason)
        emit(Rejected(reason))
        return Outcome(Result.REJECTED, response.rejection.retry, reason)
    assignment = response.assignment
    emit(Joined(assignment.task_id, assignment.round))
    try:
        job = yield from prepare(store, assignment, emit, trust)
        last = store.contributed(assignment.task_id)
        if last is not None and assignment.round - last < max(1, job.manifest.plan.minimum_separation):
            # Twice in one round would count one user twice, and with the same noise.
            retry = yield from _give_back(assignment, FailureReason.FAILURE_REASON_TOO_SOON)
            emit(Rejected("FAILURE_REASON_TOO_SOON"))
            return Outcome(Result.REJECTED, retry, "FAILURE_REASON_TOO_SOON")
        staged = yield from _train(engine, assignment, job, store.salt(assignment.task_id))
        store.stage(staged)
    except Interrupted:
        retry = yield from _give_back(assignment, FailureReason.FAILURE_REASON_INTERRUPTED)
        return Outcome(Result.INTERRUPTED, retry)
    except _GIVEN_BACK as error:
        yield from _give_back(assignment, _failure(error))
        raise
    emit(Trained(staged.task_id, staged.round))
    del job  # a checkpoint may be large, and an upload takes long
    try:
        return (yield from _upload(store, staged, emit))
    except UnknownWishError as error:  # so nothing was sent
        store.discard(staged.assignment_id)
        yield from _give_back(assignment, _failure(error))
        raise


def _failure(error: FedError) -> FailureReason.ValueType:
    if isinstance(error, NoDataError):
        return FailureReason.FAILURE_REASON_NO_DATA
    if isinstance(error, _UNSUPPORTED):
        return FailureReason.FAILURE_REASON_UNSUPPORTED
    return FailureReason.FAILURE_REASON_TRAINING


def _name(reason: int) -> str:
    # A newer coordinator may have reasons that this SDK does not know.
    known = device_pb2.RejectionReason.DESCRIPTOR.values_by_number
    return known[reason].name if reason in known else f"REJECTION_REASON_{reason}"


@contextmanager
def engine_failures() -> Iterator[None]:
    """Raises a `TrainingError` in place of an engine's exception, so that the place in the round is given back."""
    try:
        yield
    except (FedError, Interrupted):
        raise
    except Exception as error:
        raise TrainingError(f"the engine failed: {type(error).__name__}") from error


def _train(engine: Engine, assignment: Assignment, job: Job, salt: bytes) -> Generator[Wish, Any, Staged]:
    with engine_failures():
        training = engine.begin(job)
    for _ in range(training.steps):
        yield from ask(Train(training), type(None))
    with engine_failures():
        result = training.finish()
    _check_finite(result)
    defended = defences.defend(job.manifest, result.contribution, job.client.key, assignment.round, salt)
    data = contributions.encode(contributions.clip(defended, assignment.bound))
    adversaries = [adversary for adversary in job.manifest.plan.adversaries if adversary.name in job.client.labels]
    attributes = {adversary.attribute for adversary in adversaries}
    return Staged(
        assignment.assignment_id, assignment.task_id, assignment.round, data, result.state, tuple(sorted(attributes))
    )


def _check_finite(result: TrainingResult) -> None:
    """Keeps a diverged result from the sum and from the device's state, which would never recover."""
    values = [update.values if isinstance(update, Rows) else update for update in result.contribution.values()]
    for part in (result.state.values, result.state.first, result.state.second):
        values += part.values()
    if not all(np.isfinite(value).all() for value in values):
        raise DivergedError("training gave values that are not finite; nothing was kept or sent")


def _upload(store: Store, staged: Staged, emit: Emit) -> Session:
    data = staged.contribution
    header = UploadHeader(assignment_id=staged.assignment_id, size=len(data), sha256=blobs.sha256(data))
    try:
        response = yield from ask(Upload(header, data), device_pb2.UploadContributionResponse)
    except StatusError as error:
        if not _is_final(error):
            raise
        store.discard(staged.assignment_id)
        emit(Refused(staged.task_id, staged.round, str(error)))
        return Outcome(Result.REFUSED, error.retry, str(error))
    store.promote(staged.assignment_id)
    emit(Uploaded(staged.task_id, staged.round))
    return Outcome(Result.UPLOADED, response.next_check_in)


def _is_final(error: StatusError) -> bool:
    # A local timeout has the code of an expired lease, but only the coordinator adds a retry window.
    return error.status in _FINAL or (error.status == Status.DEADLINE_EXCEEDED and error.retry is not None)


def _give_back(assignment: Assignment, reason: FailureReason.ValueType) -> Generator[Wish, Any, RetryWindow | None]:
    request = device_pb2.ReportFailureRequest(assignment_id=assignment.assignment_id, reason=reason)
    try:
        response = yield from ask(Call(request), device_pb2.ReportFailureResponse)
    except (StatusError, FedError):
        return None  # the lease runs out by itself
    return response.next_check_in
