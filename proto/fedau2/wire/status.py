"""The ways in which a call can be refused, over gRPC and in process alike."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedau2.v1.task_pb2 import RetryWindow

RETRY_METADATA = "fedau2-retry-window-bin"
"""Trailing metadata key under which a refused gRPC call carries a serialised `RetryWindow`."""


class Status(IntEnum):
    """The gRPC status codes that FedAU2 uses, with gRPC's own numbers."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    INTERNAL = 13
    UNAVAILABLE = 14


class StatusError(Exception):
    """A call was refused.

    Attributes:
        status: the status code.
        retry: when to come back; None if the server does not say.
    """

    def __init__(self, status: Status, message: str, retry: "RetryWindow | None" = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry = retry
