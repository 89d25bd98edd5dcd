"""The wishes that a session asks its driver to carry out, and how a session ends (design section 5).

Later protocols add wishes. A driver that does not know one throws `UnknownWishError` into the session.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Any, TypeVar

from google.protobuf.message import Message

from client_sdk.errors import DriverError
from client_sdk.protocol.interfaces import Download, Training
from client_sdk.retry import RetryWindow
from fedau2.v1.device_pb2 import FailureReason, UploadHeader
from fedau2.v1.task_pb2 import Resource


@dataclass(frozen=True)
class Call:
    """Wish for the coordinator's response to one request; the request's class says which method is called.

    Attributes:
        request: as above.
        parting: the call is made even though the work must stop, and is brief then: it gives a place back.
    """

    request: Message
    parting: bool = False


@dataclass(frozen=True)
class Fetch:
    """Wish for the bytes of a blob.

    Attributes:
        resource: its address.
        into: takes the bytes from its `size` on, and gives the whole blob.
        within: seconds that the transfer may take.
    """

    resource: Resource
    into: Download = field(compare=False)
    within: float = field(default=inf, compare=False)


@dataclass(frozen=True)
class Train:
    """Wish for one local step of a training."""

    training: Training


@dataclass(frozen=True)
class Upload:
    """Wish for the coordinator's `UploadContributionResponse`.

    Attributes:
        header: the first message.
        data: the contribution, which is sent from the header's offset on.
        within: seconds that the transfer may take.
    """

    header: UploadHeader
    data: bytes
    within: float = field(default=inf, compare=False)


@dataclass(frozen=True)
class Enrol:
    """Wish for current certificates of the unmaskers that the app names. The driver answers with None."""


@dataclass(frozen=True)
class Prove:
    """Wish for evidence of who the user is, as the app gives it to the coordinator. The driver answers with bytes."""


Wish = Call | Fetch | Train | Upload | Enrol | Prove

_Answer = TypeVar("_Answer")


def ask(wish: Wish, answer: type[_Answer]) -> Generator[Wish, Any, _Answer]:
    """Yields one wish and returns the driver's answer to it.

    Raises:
        DriverError: the answer is not of the class that `answer` names.
    """
    value = yield wish
    if not isinstance(value, answer):
        raise DriverError(
            f"the driver answered {type(wish).__name__} with {type(value).__name__} instead of {answer.__name__}"
        )
    return value


class Interrupted(Exception):  # noqa: N818 - a signal, not an error
    """Thrown into a session by its driver when the work must stop now."""


class TooSlow(Exception):  # noqa: N818 - a signal, not an error
    """Raised within a session when its lease is over, or will be before a transfer has ended."""


class Declined(Exception):  # noqa: N818 - a signal, not an error
    """Raised within a session whose device does not use its place, although nothing is wrong with the task.

    Attributes:
        failure: the reason that the coordinator gets.
        reason: as in `Outcome.reason`.
    """

    def __init__(self, failure: FailureReason.ValueType, reason: str = "") -> None:
        super().__init__(failure)
        self.failure, self.reason = failure, reason or FailureReason.Name(failure)


SPENT = "PARTICIPATIONS_SPENT"
"""Reason of a device that has contributed to a task as often as the task's policy allows."""


class Result(Enum):
    """The end of a session."""

    UPLOADED = "uploaded"
    REJECTED = "rejected"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Outcome:
    """The end of a session, and the time of the next check-in.

    >>> outcome = Outcome(Result.REJECTED, reason="REJECTION_REASON_ROUND_FULL")
    >>> outcome.result.value
    'rejected'

    Attributes:
        result: the kind of end.
        retry: window for the next check-in; None if the coordinator gave none.
        reason: the reason of a rejection, of a refusal, or for which the device gave its place back.
        refreshed: a newer model was fetched, although the device had no place in the round.
    """

    result: Result
    retry: RetryWindow | None = None
    reason: str = ""
    refreshed: bool = False
