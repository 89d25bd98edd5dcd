"""Errors of the coordinator, and the status with which each refusal answers a call.

* CoordinatorError
  + FolderError: the state folder cannot be used
  + FolderLockedError: another coordinator uses the state folder or the ledger
  + LedgerError: the ledger cannot be used, or is not as it must be
  + BlobLostError: a blob that a task needs is missing or damaged
  + LogError: an acknowledged contribution cannot be read back
  + ObjectsError, also an `OSError`: the object store fails, as a disk does
  + OperationsError: the log of the operators' calls is damaged
  + BackupError: a backup cannot be made, or cannot be restored
  + AggregationError: values that cannot be added exactly
    - ImplausibleSumError: a sum that honest devices cannot have
  + UnmaskerError: the unmasker does not answer, refuses a call, or answers what it must not
  + BundleFolderError: a folder is not a whole bundle, or cannot become one (the command line)
  + BenchError: a benchmark cannot be run here
  + CallError: a call to a coordinator failed (the command line, the dashboard)
  + SettingError: a setting of `serve` cannot be used
  + ForwardedError, also a `StatusError`: the leader's answer to a call that a stand-by passed on
  + RefusalError, also a `StatusError`: the answer to a call
    - InvalidRequestError                 INVALID_ARGUMENT     a request that makes no sense
      . InvalidContributionError          INVALID_ARGUMENT     an upload that does not fit its task or its hash
      . InvalidBundleError                INVALID_ARGUMENT     a bundle that this version cannot run
    - UnknownError                        NOT_FOUND            no such assignment, task, blob or kept model
    - LeaseOverError                      DEADLINE_EXCEEDED    the assignment's time is over
    - DifferentContributionError          ALREADY_EXISTS       the assignment has been reported with other bytes
    - PopulationTakenError                ALREADY_EXISTS       the population has a running task
    - TooLargeError                       RESOURCE_EXHAUSTED   more bytes than the task can need
    - ForbiddenError                      PERMISSION_DENIED    the operator's role does not allow the call
      . UnprovenError                     PERMISSION_DENIED    the caller has shown no accepted token or certificate
    - EvidenceError                       PERMISSION_DENIED    a device has not shown that it is one of the app's
    - AdmittedError                       ALREADY_EXISTS       the identity has had its admission to the round
    - NoAdmissionError                    FAILED_PRECONDITION  there is no such round to be admitted to
    - GivenBackError                      FAILED_PRECONDITION  the device has given the assignment back
    - TaskOverError                       FAILED_PRECONDITION  the task is finished or stopped
    - RoundClosedError                    ABORTED              the round takes no contribution any more
      . StaleError                        ABORTED              too many rounds were committed since the check-in
    - WrongOffsetError                    OUT_OF_RANGE         an upload that goes on where nothing broke off
    - BusyError                           UNAVAILABLE          too many calls of this kind are under way
    - CutOffError                         UNAVAILABLE          an upload that ended before it was whole
    - StoppedError                        UNAVAILABLE          the coordinator has turned itself off
    - UnrecordedError                     UNAVAILABLE          an operator's call cannot be recorded
"""

from typing import ClassVar

from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire.status import Status, StatusError


class CoordinatorError(Exception):
    """Root of the coordinator's errors."""


class FolderError(CoordinatorError):
    """The state folder is not a folder, or this user may not read and write it."""


class FolderLockedError(CoordinatorError):
    """Another coordinator uses the state folder or the ledger. Only one at a time can."""


class LedgerError(CoordinatorError):
    """The ledger cannot be used, belongs to another folder or version, or someone else has changed a row."""


class BlobLostError(CoordinatorError):
    """A blob that a task needs is missing or damaged."""


class LogError(CoordinatorError):
    """A record of the round's log is missing or damaged."""


class ObjectsError(CoordinatorError, OSError):
    """The object store does not answer, or refuses a request. Whoever writes treats it as a disk that fails."""


class OperationsError(CoordinatorError):
    """The log of the operators' calls is damaged: a line is missing, was added or was changed."""


class BackupError(CoordinatorError):
    """A backup cannot be made, or is not whole, or cannot be put where it shall be. Nothing half is left."""


class AggregationError(CoordinatorError, ValueError):
    """A value is not finite, of a wrong shape, or so large that the integer sum could overflow."""


class ImplausibleSumError(AggregationError):
    """A sum of hidden contributions is not one that honest devices can have. No step may be taken with it."""


class UnmaskerError(CoordinatorError):
    """The unmasker does not answer, refuses a call, or answers what it must not.

    Attributes:
        code: gRPC's name of the status of a refusal; empty: there is no answer, or it is wrong.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    @property
    def loses_round(self) -> bool:
        """True if the unmasker will never open the round: its key is gone, or it was opened for something else."""
        return self.code in ("ABORTED", "ALREADY_EXISTS")


class BundleFolderError(CoordinatorError):
    """A folder is not a bundle, one of its blobs is missing, or a bundle cannot be written there."""


class BenchError(CoordinatorError):
    """A benchmark cannot be run on this system, or a server that it measures has ended."""


class CallError(CoordinatorError):
    """A coordinator does not answer a call, or refuses it.

    Attributes:
        code: gRPC's name of the status; empty: the call was not one of gRPC.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class SettingError(CoordinatorError):
    """A setting of `serve` is missing, unknown, of a wrong type, or contradicts another."""


class ForwardedError(CoordinatorError, StatusError):
    """The leader refused a call that this coordinator, a stand-by, passed on to it."""


class RefusalError(CoordinatorError, StatusError):
    """The answer to a call that is refused. The text says why, and what to do.

    Attributes:
        code: the status of the answer.
    """

    code: ClassVar[Status]

    def __init__(self, message: str, retry: RetryWindow | None = None) -> None:
        StatusError.__init__(self, self.code, message, retry)


class InvalidRequestError(RefusalError):
    """A request makes no sense."""

    code = Status.INVALID_ARGUMENT


class InvalidContributionError(InvalidRequestError):
    """An upload does not fit its task, its declared size or its hash. Nothing of it was counted."""


class InvalidBundleError(InvalidRequestError):
    """A bundle is not complete, contradicts itself or has another format version."""


class UnknownError(RefusalError):
    """There is no such assignment, task, blob or kept model, or there no longer is."""

    code = Status.NOT_FOUND


class LeaseOverError(RefusalError):
    """The assignment's time is over. It always carries a retry window; a timeout of the network never does."""

    code = Status.DEADLINE_EXCEEDED


class DifferentContributionError(RefusalError):
    """The assignment has been reported with other bytes."""

    code = Status.ALREADY_EXISTS


class PopulationTakenError(RefusalError):
    """The population has a running task."""

    code = Status.ALREADY_EXISTS


class TooLargeError(RefusalError):
    """A declared size is over what the task can need. No byte was read."""

    code = Status.RESOURCE_EXHAUSTED


class ForbiddenError(RefusalError):
    """The operator's role does not allow the call, or the operator has no role. Nothing was changed."""

    code = Status.PERMISSION_DENIED


class UnprovenError(ForbiddenError):
    """The caller on the operators' address has shown no token and no certificate that is accepted."""


class EvidenceError(RefusalError):
    """A device has not shown that it is one of the app's. The text never quotes its evidence."""

    code = Status.PERMISSION_DENIED


class AdmittedError(RefusalError):
    """The identity has had its admission to the round. Another one would be another place."""

    code = Status.ALREADY_EXISTS


class NoAdmissionError(RefusalError):
    """The coordinator asks for no admissions, or the key is not that of an open round."""

    code = Status.FAILED_PRECONDITION


class GivenBackError(RefusalError):
    """The device has given the assignment back."""

    code = Status.FAILED_PRECONDITION


class TaskOverError(RefusalError):
    """The task is finished or stopped: it cannot be paused or resumed, and only a stopped one can be stopped again."""

    code = Status.FAILED_PRECONDITION


class RoundClosedError(RefusalError):
    """The round has its contributions, or its task was stopped; come back in the retry window."""

    code = Status.ABORTED


class StaleError(RoundClosedError):
    """A buffered round counts no contribution that began so many rounds ago. It is thrown away."""


class WrongOffsetError(RefusalError):
    """The bytes before an upload's offset are not held. Nothing was counted; upload from the beginning."""

    code = Status.OUT_OF_RANGE


class BusyError(RefusalError):
    """Too many calls of this kind are under way. Nothing was changed; come back in the retry window."""

    code = Status.UNAVAILABLE


class CutOffError(RefusalError):
    """An upload ended before it was whole. Mostly the connection broke, and nobody receives the answer."""

    code = Status.UNAVAILABLE


class StoppedError(RefusalError):
    """The coordinator starts, shuts down, or has stopped at an error. Everything that it acknowledged is on disk."""

    code = Status.UNAVAILABLE


class UnrecordedError(RefusalError):
    """An operator's call cannot be recorded, for example because the disk is full. Nothing was changed."""

    code = Status.UNAVAILABLE
