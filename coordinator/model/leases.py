"""The assignments of a round, the answers to devices' calls, and what admissions to a round have brought."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from fedau2.v1.admin_pb2 import (
    ASSIGNMENT_STATE_ASSIGNED,
    ASSIGNMENT_STATE_EXPIRED,
    ASSIGNMENT_STATE_FAILED,
    AssignmentState,
)

_BARREN = (ASSIGNMENT_STATE_EXPIRED, ASSIGNMENT_STATE_FAILED)
"""States of places that bring no contribution."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The state of an assignment.

    Attributes:
        state: as above.
        deadline: end of the lease, in seconds.
        sha256: hash of the contribution; empty unless it is reported or refused.
        admission: hash of the admission that was spent on it; empty: none was asked for.
        staleness: rounds that were committed since the check-in.
    """

    state: AssignmentState.ValueType
    deadline: float
    sha256: bytes = b""
    admission: bytes = b""
    staleness: int = 0


class Answer(Enum):
    """The answer to a device's call."""

    ACCEPTED = auto()
    REPEATED = auto()
    """The call came before. It gets the same answer again, once the first is durable."""
    FULL = auto()
    PAUSED = auto()
    CLOSED = auto()
    STOPPED = auto()
    UNKNOWN = auto()
    HELD = auto()
    """The admission has brought a place already, which its device still has."""
    UNADMITTED = auto()
    """The device has shown no admission to the round. It asks for one at once, or comes back later."""
    SPENT = auto()
    """The admission has brought a contribution already."""
    DIFFERENT = auto()
    """Reported before, with another hash."""
    GIVEN_BACK = auto()
    LATE = auto()
    STALE = auto()
    """More rounds were committed since the check-in than a buffered round allows."""
    CLOSING = auto()
    """The round is being committed, and the contribution counts in the next. Ask again then."""


class Admitted:
    """The places that the admissions to a round have brought, the newest of each.

    Args:
        leases: the round's assignments so far, by id.
    """

    def __init__(self, leases: Mapping[bytes, Lease]) -> None:
        self._places: dict[bytes, bytes] = {}
        for key, lease in leases.items():
            if lease.admission and (lease.state not in _BARREN or lease.admission not in self._places):
                self._places[lease.admission] = key

    def note(self, admission: bytes, assignment_id: bytes) -> None:
        """Notes the place that an admission has brought; an empty admission brings none."""
        if admission:
            self._places[admission] = assignment_id

    def place(self, admission: bytes) -> bytes | None:
        """Returns the id of the newest place that an admission has brought; None: it has brought none."""
        return self._places.get(admission)


def judged(lease: Lease | None) -> Answer | None:
    """Returns the answer to an admission by the newest place that it has brought; None: it may bring another."""
    if lease is None or lease.state in _BARREN:
        return None
    return Answer.HELD if lease.state == ASSIGNMENT_STATE_ASSIGNED else Answer.SPENT


def outliving(leases: Mapping[bytes, Lease], most_stale: int) -> dict[bytes, Lease]:
    """Returns the live leases that are not as stale as leases may be, as they are in the next round."""
    return {
        key: replace(lease, staleness=lease.staleness + 1)
        for key, lease in leases.items()
        if lease.state == ASSIGNMENT_STATE_ASSIGNED and lease.staleness < most_stale
    }
