"""The end of a round, with the times of its phases, for whoever follows rounds."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class RoundEnd:
    """A round that is over. Times are in seconds since 1970.

    Attributes:
        task_id: its task.
        population: of the task.
        number: of the round.
        attempt: that it ended with, from 0.
        contributions: that counted.
        hidden: the round had secure sums.
        opened: the attempt began.
        frozen: its contributions were complete; 0: they never were, or a coordinator before this one saw it.
        closed: its sum was open, so that the commit began, or it was given up.
        ended: its end was durable.
        skipped: it was given up.
    """

    task_id: str
    population: str
    number: int
    attempt: int
    contributions: int
    hidden: bool
    opened: float
    frozen: float
    closed: float
    ended: float
    skipped: bool

    def phases(self) -> Iterator[tuple[str, float, float]]:
        """Yields each phase by name, with its begin and its end, in order and without a gap."""
        complete = self.frozen if self.opened <= self.frozen <= self.closed else self.closed
        yield "collecting", self.opened, complete
        if self.hidden:
            yield "opening", complete, self.closed
        yield "giving up" if self.skipped else "committing", self.closed if self.hidden else complete, self.ended
