"""The effects of a round: what its state machine decides, and what is then made durable."""

from dataclasses import dataclass

from fedau2.v1.device_pb2 import FailureReason


@dataclass(frozen=True)
class Assigned:
    """A place has been leased. `admission` is the hash of the admission that was spent on it; empty: none."""

    assignment_id: bytes
    attempt: int
    deadline: float
    admission: bytes = b""


@dataclass(frozen=True)
class Reported:
    """A contribution counts. `staleness` is the number of rounds that were committed since its check-in."""

    assignment_id: bytes
    sha256: bytes
    staleness: int = 0


@dataclass(frozen=True)
class Failed:
    """A device gave its place back."""

    assignment_id: bytes
    reason: FailureReason.ValueType


@dataclass(frozen=True)
class Expired:
    """A lease ran out."""

    assignment_id: bytes


@dataclass(frozen=True)
class Abandoned:
    """An attempt ended with too few contributions. The next attempt has begun; it keeps them and the live leases.

    Attributes:
        attempt: its number.
        frozen: its contributions had been fixed, and too many of them were refused.
    """

    attempt: int
    frozen: bool = False


@dataclass(frozen=True)
class Closed:
    """The round has its contributions."""

    attempt: int


@dataclass(frozen=True)
class Frozen:
    """The contributions of a round with secure sums are fixed: their sum can be opened."""

    attempt: int


@dataclass(frozen=True)
class Refused:
    """The unmasker does not count a contribution, which therefore does not count at all."""

    assignment_id: bytes


Effect = Assigned | Reported | Failed | Expired | Abandoned | Closed | Frozen | Refused
