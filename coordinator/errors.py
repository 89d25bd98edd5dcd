"""Errors of the coordinator, and with which status each refusal answers a call.

* CoordinatorError
  + FolderError: the state folder cannot be used
  + FolderLockedError: another coordinator uses the state folder or the ledger
  + LedgerError: the ledger cannot be used, or is not as it must be
  + BlobLostError: a blob that a task needs is missing or damaged
  + LogError: an acknowledged contribution cannot be read back
  + AggregationError: values that cannot be added exactly
  + BundleFolderError: no bundle to create a task from (the command line)
  + BenchError: a benchmark cannot be run here
  + SettingError: a setting of `serve` cannot be used
  + RefusalError, also a `StatusError`: the answer to a call
    - InvalidRequestError                 INVALID_ARGUMENT     a request that cannot be meant
      . InvalidContributionError          INVALID_ARGUMENT     an upload that does not fit its task or its hash
        CutOffError                       INVALID_ARGUMENT     an upload that ended before it was whole
      . InvalidBundleError                INVALID_ARGUMENT     a bundle that this version cannot run
    - UnknownError                        NOT_FOUND            no such assignment, task or blob
    - LeaseOverError                      DEADLINE_EXCEEDED    the assignment's time is over
    - DifferentContributionError          ALREADY_EXISTS       the assignment has been reported with other bytes
    - PopulationTakenError                ALREADY_EXISTS       the population has a running task
    - TooLargeError                       RESOURCE_EXHAUSTED   more bytes than the task can need
    - GivenBackError                      FAILED_PRECONDITION  the device has given the assignment back
    - TaskOverError                       FAILED_PRECONDITION  the task is finished or stopped
    - RoundClosedError                    ABORTED              the round takes no contribution any more
    - StoppedError                        UNAVAILABLE          the coordinator has turned itself off
"""

from typing import ClassVar

from fedau2.v1.task_pb2 import RetryWindow
from fedau2.wire.status import Status, StatusError


class CoordinatorError(Exception):
    """Root of the coordinator's errors."""


class FolderError(CoordinatorError):
    """The state folder is no folder, or this user may not read and write it."""


class FolderLockedError(CoordinatorError):
    """Another coordinator uses the state folder or the ledger; there can be one only."""


class LedgerError(CoordinatorError):
    """The ledger cannot be used, is another folder's or version's, or a row was changed by someone else."""


class BlobLostError(CoordinatorError):
    """A blob that a task needs is missing or damaged."""


class LogError(CoordinatorError):
    """A record of the round's log is missing or damaged."""


class AggregationError(CoordinatorError, ValueError):
    """A value is not finite, of a wrong shape, or so large that the integer sum could overflow."""


class BundleFolderError(CoordinatorError):
    """A folder is no bundle, or one of its blobs is missing."""


class BenchError(CoordinatorError):
    """A benchmark cannot be run on this system, or a server that it measures has ended."""


class SettingError(CoordinatorError):
    """A setting of `serve` is missing, unknown, of a wrong type, or contradicts another."""


class RefusalError(CoordinatorError, StatusError):
    """The answer to a call that is refused; the text says why and what to do.

    Attributes:
        code: the status that it answers with.
    """

    code: ClassVar[Status]

    def __init__(self, message: str, retry: RetryWindow | None = None) -> None:
        StatusError.__init__(self, self.code, message, retry)


class InvalidRequestError(RefusalError):
    """A request that cannot be meant."""

    code = Status.INVALID_ARGUMENT


class InvalidContributionError(InvalidRequestError):
    """An upload does not fit its task, its declared size or its hash; nothing of it was counted."""


class CutOffError(InvalidContributionError):
    """An upload ended before it was whole: mostly a connection that broke, and nobody hears the answer."""


class InvalidBundleError(InvalidRequestError):
    """A bundle is not complete, contradicts itself or has another format version."""


class UnknownError(RefusalError):
    """There is no such assignment, task or blob (any more)."""

    code = Status.NOT_FOUND


class LeaseOverError(RefusalError):
    """The assignment's time is over; always with a retry window, which tells it from a timeout of the network."""

    code = Status.DEADLINE_EXCEEDED


class DifferentContributionError(RefusalError):
    """The assignment has been reported with other bytes."""

    code = Status.ALREADY_EXISTS


class PopulationTakenError(RefusalError):
    """The population has a running task."""

    code = Status.ALREADY_EXISTS


class TooLargeError(RefusalError):
    """A declared size is over what the task can need; no byte was taken."""

    code = Status.RESOURCE_EXHAUSTED


class GivenBackError(RefusalError):
    """The device has given the assignment back."""

    code = Status.FAILED_PRECONDITION


class TaskOverError(RefusalError):
    """The task is finished or stopped, so it can be neither paused nor resumed; only a stopped one can be stopped."""

    code = Status.FAILED_PRECONDITION


class RoundClosedError(RefusalError):
    """The round has its contributions, or its task was stopped; come back in the retry window."""

    code = Status.ABORTED


class StoppedError(RefusalError):
    """The coordinator has turned itself off; what it acknowledged is on disk, and a restart goes on from there."""

    code = Status.UNAVAILABLE
