"""The result of personalising: how many personal steps were taken, and why they ended."""

from dataclasses import dataclass
from enum import Enum


class Ended(Enum):
    """The reason for which personal steps ended."""

    DONE = "done"
    """All steps were taken."""
    TIMEOUT = "timeout"
    """The time was over; the steps that were taken are kept."""
    INTERRUPTED = "interrupted"
    """The client was closed; the steps that were taken are kept."""
    NOTHING_PRIVATE = "nothing_private"
    """The model has no private tensors: it recommends from the user's history, and needs no personal steps."""


@dataclass(frozen=True)
class Personalisation:
    """The result of `FedClient.personalise`.

    >>> Personalisation(20, Ended.DONE).steps
    20

    Attributes:
        steps: number of personal steps that were taken.
        ended: the reason for which they ended.
    """

    steps: int
    ended: Ended
