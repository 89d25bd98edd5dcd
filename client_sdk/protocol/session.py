"""A device's side of one round, sans I/O (design section 5).

`session` is a generator that yields wishes and is sent the answers of the driver that carries them out. Errors outside
are thrown into it: `StatusError` for a refused call, `TransportError` for an unanswered one, `UnknownWishError` for a
wish that the driver does not know, `Interrupted` when the work must stop.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from client_sdk.errors import (
    AttributeValueError,
    DriverError,
    FedError,
    NoDataError,
    PlainTaskError,
    ResourceLimitError,
    StoreError,
    TaskError,
    TransportError,
    UnknownWishError,
    UnsupportedTaskError,
    UntrustedTaskError,
    UntrustedUnmaskerError,
)
from client_sdk.events import ContributionDropped, Joined, Rejected, TaskRefused, Trained
from client_sdk.protocol import contributing, membership, preparation, succession
from client_sdk.protocol.admittance import Admittance
from client_sdk.protocol.contributing import Emit
from client_sdk.protocol.interfaces import Engine, Store
from client_sdk.protocol.lease import Lease, NoLease
from client_sdk.protocol.membership import Membership
from client_sdk.protocol.refreshing import Models
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import Model, Staged
from client_sdk.protocol.wishes import Call, Declined, Interrupted, Outcome, Result, TooSlow, Wish, ask
from client_sdk.retry import RetryWindow, window
from fedau2.v1 import device_pb2
from fedau2.v1.device_pb2 import Assignment, FailureReason, ModelVersion
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import encodings
from fedau2.wire.secure.policy import FEATURE
from fedau2.wire.status import StatusError

if TYPE_CHECKING:
    from client_sdk.protocol.masking import Mask

Session = Generator[Wish, Any, Outcome]

_ANYBODY = Trust()


_UNSUPPORTED = (
    UnsupportedTaskError,
    UntrustedTaskError,
    UntrustedUnmaskerError,
    ResourceLimitError,
    UnknownWishError,
)
_STOPPED = (Interrupted, KeyboardInterrupt, SystemExit, TransportError, StatusError)
_FAILED = (TaskError, UntrustedUnmaskerError, AttributeValueError, StoreError, DriverError)
_GIVEN_BACK = (*_STOPPED, Declined, TooSlow, *_FAILED)


def session(
    store: Store,
    engine: Engine,
    population: str,
    version: str,
    emit: Emit = lambda event: None,
    trust: Trust = _ANYBODY,
    without_place: bool = False,
    wanted: Callable[[Model], bool] = lambda model: False,
    clock: Callable[[], float] | None = None,
    members: Membership | None = None,
    admittance: Admittance | None = None,
) -> Session:
    """Makes one check-in and, if assigned, one contribution. An upload that was never answered is made again instead.

    A device that is not assigned a place, or cannot use it, fetches the newest model if it is wanted.

    Args:
        store: the client's state.
        engine: the engine that trains.
        population: name of the population that the client belongs to.
        version: the SDK's version.
        emit: called with each event as it happens.
        trust: checks whose tasks are run.
        without_place: True if the client could not use a place in a round; it asks for none then.
        wanted: returns True if a newest model is to be fetched without a place; by default none is.
        clock: seconds since some moment, by which a lease ends; None: it does not end here, as in simulations, whose
            coordinators' clocks stand still.
        members: the device's certificates for secure sums; None: it takes part in plain tasks alone.
        admittance: the device's admissions to rounds; None: it has none yet.

    Raises:
        TaskError, StoreError: the task cannot be run here, or the disk fails; the assignment has been given back.
        DriverError: the driver does not know a wish, or answered it wrongly; the assignment has been given back, unless
            the wish was the upload and may have been carried out.
        FedError: the device could not enrol, or was not admitted, where that is needed. It had no place.
        TransportError, StatusError: as thrown in; a staged contribution stays staged, and without one the assignment
            has been given back.
    """
    staged = store.staged()
    if staged and not trust.sends(staged):
        store.discard(staged.assignment_id)
        emit(TaskRefused(staged.task_id, staged.round, PlainTaskError.code))
    elif staged:
        return (yield from contributing.upload(store, staged, emit, NoLease(), again=True))
    response, failed = yield from membership.offer(
        population, version, without_place, members, admittance or Admittance()
    )
    visit = _Visit(store, engine, emit, Models(store, emit, trust, wanted), members)
    if response.WhichOneof("result") == "assignment":
        assignment = response.assignment
        lease = NoLease() if clock is None else Lease(assignment.lease.ToNanoseconds() / 1e9, clock)
        return (yield from visit.contribute(assignment, lease))
    rejection = response.rejection
    outcome = Outcome(Result.REJECTED, window(rejection.retry), _name(rejection.reason))
    emit(Rejected(outcome.reason))
    if rejection.HasField("model"):  # an older coordinator names none
        outcome = yield from visit.models.refresh(_model(rejection.model), outcome)
    if failed is not None:
        failed.retry = outcome.retry or failed.retry
        raise failed
    return outcome


@dataclass(frozen=True, eq=False)
class _Visit:
    """A device after its check-in. The fields are arguments of `session`, and what fetches its models."""

    store: Store
    engine: Engine
    emit: Emit
    models: Models
    members: Membership | None

    def contribute(self, assignment: Assignment, lease: Lease) -> Session:
        """Makes the contribution for a place, or gives the place back."""
        try:
            self.emit(Joined(assignment.task_id, assignment.round))
            staged = yield from self._train(assignment, lease)
            self.store.stage(staged)
        except _GIVEN_BACK as error:
            return (yield from self._give_back(assignment, error))
        self.emit(Trained(staged.task_id, staged.round))
        try:
            return (yield from contributing.upload(self.store, staged, self.emit, lease))
        except (UnknownWishError, TooSlow) as error:  # so nothing was sent
            self.store.discard(staged.assignment_id, sent=False)
            code = error.code if isinstance(error, FedError) else "too_slow"
            self.emit(ContributionDropped(staged.task_id, staged.round, code))
            return (yield from self._give_back(assignment, error))

    def _train(self, assignment: Assignment, lease: Lease) -> Generator[Wish, Any, Staged]:
        model = _model(assignment)
        _expect_bound(assignment, hidden=bool(assignment.round_key))
        fetcher = self.models.fetcher(model, lease)
        task = yield from fetcher.manifest()
        self.models.trust.expect_secure(task)
        mask = yield from self._mask(assignment, model, task)
        _expect_bound(assignment, hidden=mask is not None)
        last = succession.last_contribution(self.store, model, task)
        # Twice in one round would count one user twice, and with the same noise.
        if last is not None and model.round - last < max(1, task.plan.minimum_separation):
            raise Declined(FailureReason.FAILURE_REASON_TOO_SOON)
        yield from self.models.finish_started(model, lease)
        fetched = yield from self.models.adopt(fetcher, model, task)
        job = preparation.job(self.store, model, task, fetched)
        return (yield from contributing.train(self.engine, assignment, job, self.store.key(), lease, mask))

    def _mask(self, assignment: Assignment, model: Model, task: TaskManifest) -> Generator[Wish, Any, "Mask | None"]:
        if FEATURE not in task.required_features:
            return None
        if self.members is not None:
            yield from membership.enrol_for(task.secure_sums, self.members)
        from client_sdk.protocol import masking  # here, because it loads cryptography

        return masking.mask_for(assignment, model, task, self.models.trust, self.members)

    def _give_back(self, assignment: Assignment, error: BaseException) -> Session:
        """Gives a place back, and ends as the error says, which is raised unless it is a signal of this package."""
        reason = _failure(error)
        self.models.refuse(_model(assignment), error)
        retry = yield from _report(assignment, reason)
        if isinstance(error, Interrupted):
            return Outcome(Result.INTERRUPTED, retry)
        if isinstance(error, TooSlow):
            slow = Outcome(Result.INTERRUPTED, retry, FailureReason.Name(reason))
            return (yield from self.models.refresh(_model(assignment), slow))
        if isinstance(error, Declined):
            self.emit(Rejected(error.reason))
            declined = Outcome(Result.REJECTED, retry, error.reason)
            return (yield from self.models.refresh(_model(assignment), declined))
        if isinstance(error, PlainTaskError):  # which may be recommended from
            yield from self.models.refresh(_model(assignment), Outcome(Result.REJECTED, retry))
        if isinstance(error, FedError) and retry is not None:
            error.retry = retry
        raise error


def _expect_bound(assignment: Assignment, hidden: bool) -> None:
    """Returns if contributions have a bound, which hidden ones need not: the policy of their task clips them."""
    if not hidden and not assignment.bound > 0:
        raise UnsupportedTaskError("the coordinator states no bound for contributions: it speaks an older protocol")


def _report(assignment: Assignment, reason: FailureReason.ValueType) -> Generator[Wish, Any, RetryWindow | None]:
    request = device_pb2.ReportFailureRequest(assignment_id=assignment.assignment_id, reason=reason)
    try:
        response = yield from ask(Call(request, parting=True), device_pb2.ReportFailureResponse)
    except (StatusError, FedError):
        return None  # the lease runs out by itself
    return window(response.next_check_in)


def _failure(error: BaseException) -> FailureReason.ValueType:
    if isinstance(error, _STOPPED):
        return FailureReason.FAILURE_REASON_INTERRUPTED
    if isinstance(error, TooSlow):
        return FailureReason.FAILURE_REASON_TOO_SLOW
    if isinstance(error, Declined):
        return error.failure
    if isinstance(error, NoDataError):
        return FailureReason.FAILURE_REASON_NO_DATA
    if isinstance(error, _UNSUPPORTED):
        return FailureReason.FAILURE_REASON_UNSUPPORTED
    return FailureReason.FAILURE_REASON_TRAINING


def _model(message: Assignment | ModelVersion) -> Model:
    return Model(message.task_id, message.round, message.manifest, encodings.offered(message))


def _name(reason: int) -> str:
    # A newer coordinator may have reasons that this SDK does not know.
    known = device_pb2.RejectionReason.DESCRIPTOR.values_by_number
    return known[reason].name if reason in known else f"REJECTION_REASON_{reason}"
