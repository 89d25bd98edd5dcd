"""The closing rule of a task's rounds, as the round machine and pace steering use it."""

import math
from dataclasses import dataclass
from typing import Self

from fedau2.v1.task_pb2 import ClosingRule


@dataclass(frozen=True)
class Rule:
    """A closing rule in plain numbers.

    Attributes:
        goal: contributions at which the round closes at once.
        minimum: fewest contributions with which the round may close at its deadline.
        places: most contributions and live leases together.
        deadline: seconds from the start of an attempt.
        lease: seconds from the check-in to the end of the upload.
        hidden: the round has secure sums: it needs a key before it begins, and an unmasker opens its sum.
        most_stale: rounds for which a place outlives its own; above 0: rounds are buffered, and `places` counts live
            leases alone.
    """

    goal: int
    minimum: int
    places: int
    deadline: float
    lease: float
    hidden: bool = False
    most_stale: int = 0

    @property
    def leases(self) -> int:
        """Leases that a round gives out: a buffered one as many as end in it, any other one for each place."""
        return self.goal if self.most_stale else self.places

    @classmethod
    def of(cls, closing: ClosingRule, hidden: bool = False, most_stale: int = 0) -> Self:
        """Reads a checked message."""
        over_selection = round(closing.over_selection, 6)  # as float32, 0.7 is a little less
        return cls(
            goal=closing.goal,
            minimum=closing.minimum,
            places=math.floor(closing.goal * (1 + over_selection) + 1e-6),
            deadline=closing.deadline.ToNanoseconds() / 1e9,
            lease=closing.lease.ToNanoseconds() / 1e9,
            hidden=hidden,
            most_stale=most_stale,
        )
