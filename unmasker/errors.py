"""Errors of the unmasker, and the status with which each refusal answers a call.

* UnmaskerError
  + FolderError: the state folder cannot be used
  + FolderLockedError: another unmasker uses the state folder
  + BooksError: the database cannot be used, or belongs to another unmasker or version
  + SettingError: an option of a command cannot be used
  + KeySetError: the identity provider's keys cannot be used
  + LogFaultError: a log is not what it must be (the command line)
  + RefusalError, also a `StatusError`: the answer to a call
    - InvalidRequestError     INVALID_ARGUMENT     a request that makes no sense
    - EvidenceError           FAILED_PRECONDITION  the evidence is not accepted
    - RevokedError            FAILED_PRECONDITION  the holder has been revoked
    - TakenError              ALREADY_EXISTS       the key or the evidence belongs to another holder
    - DifferentRoundError     ALREADY_EXISTS       the round was opened for something else
    - RoundClosedError        ABORTED              the round has no key any more
    - DifferentSumError       ALREADY_EXISTS       the one sum of the round was opened, and it was another
    - SmallSumError           FAILED_PRECONDITION  a sum has fewer members than its policy asks for
    - ForgottenError          FAILED_PRECONDITION  a restored unmasker does not know who took part in the task
    - BudgetError             FAILED_PRECONDITION  the policy does not fit the budget
    - ShortLogError           OUT_OF_RANGE         the log has no such entry
    - BusyError               UNAVAILABLE          too many calls are under way, or the unmasker stops
"""

from typing import ClassVar

from fedau2.wire.status import Status, StatusError


class UnmaskerError(Exception):
    """Root of the unmasker's errors."""


class FolderError(UnmaskerError):
    """The state folder is missing, damaged or already there, or this user may not read and write it."""


class FolderLockedError(UnmaskerError):
    """Another unmasker uses the state folder. Only one at a time can."""


class BooksError(UnmaskerError):
    """The database cannot be used, or belongs to another unmasker or a newer version."""


class SettingError(UnmaskerError):
    """An option of a command is missing, of a wrong type, or contradicts another."""


class KeySetError(UnmaskerError):
    """The file of the identity provider's keys cannot be read, or has no key that can be used."""


class LogFaultError(UnmaskerError):
    """A log that was verified is not what it must be."""


class RefusalError(UnmaskerError, StatusError):
    """The answer to a call that is refused. The text says why, and never quotes evidence.

    Attributes:
        code: the status of the answer.
    """

    code: ClassVar[Status]

    def __init__(self, message: str) -> None:
        StatusError.__init__(self, self.code, message)


class InvalidRequestError(RefusalError):
    """A request makes no sense."""

    code = Status.INVALID_ARGUMENT


class EvidenceError(RefusalError):
    """The evidence does not show that the device is one of the app's, or no evidence of its class is taken."""

    code = Status.FAILED_PRECONDITION


class RevokedError(RefusalError):
    """The holder has been revoked, and is enrolled no more."""

    code = Status.FAILED_PRECONDITION


class TakenError(RefusalError):
    """The key, or evidence that is for one device, belongs to another holder."""

    code = Status.ALREADY_EXISTS


class DifferentRoundError(RefusalError):
    """The round was opened for another manifest, checkpoint or policy."""

    code = Status.ALREADY_EXISTS


class RoundClosedError(RefusalError):
    """The round is closed, or a later round of the task was opened. Its key is gone."""

    code = Status.ABORTED


class DifferentSumError(RefusalError):
    """Another set, or the same set with another head or other openings, was opened for the round: the only one."""

    code = Status.ALREADY_EXISTS


class SmallSumError(RefusalError):
    """A sum has fewer members than its policy asks for. It stays closed."""

    code = Status.FAILED_PRECONDITION


class ForgottenError(RefusalError):
    """The unmasker was restored, and cannot know how often devices took part in the task."""

    code = Status.FAILED_PRECONDITION


class BudgetError(RefusalError):
    """Sums of this policy have no noise, or so little that one contribution is beyond the budget."""

    code = Status.FAILED_PRECONDITION


class ShortLogError(RefusalError):
    """The log has no entry of this number yet."""

    code = Status.OUT_OF_RANGE


class BusyError(RefusalError):
    """Too many calls are under way, or the unmasker stops. Nothing was changed; call again later."""

    code = Status.UNAVAILABLE
