"""Progress of a grid: one bar for all of it, and one for each run under way."""

from collections.abc import Mapping

from rich.progress import Progress

from simulator.experiment.pool import Job
from simulator.reporting.terminal import Bar

ATTACKS = 0.5
"""Time of evaluating and attacking as a share of training. Only the estimate of the time left depends on it."""


class Overall:
    """Bars of a grid.

    Args:
        display: where they are shown.
        rounds: of each run, by its name.
    """

    def __init__(self, display: Progress, rounds: Mapping[str, int]) -> None:
        self._display, self._rounds = display, rounds
        self._bars: dict[str, _Share] = {}
        self._ended = 0
        total = sum(rounds.values()) * (1 + ATTACKS)
        self._task = display.add_task(self._label(), total=total, text="rounds and attacks")

    def begin(self, job: Job) -> "_Share":
        """Returns the progress of a run that begins."""
        self._bars[job.name] = _Share(self, Bar(self._display, job.name))
        return self._bars[job.name]

    def end(self, job: Job) -> None:
        """Removes the bar of a run that ended."""
        share = self._bars.pop(job.name)
        share.bar.close()
        self._ended += 1
        self.add(self._rounds[job.name] * (1 + ATTACKS) - share.rounds)

    def add(self, rounds: float) -> None:
        """Counts further rounds as done."""
        self._display.update(self._task, advance=rounds, description=self._label())

    def _label(self) -> str:
        return f"{self._ended} of {len(self._rounds)} runs"


class _Share:
    """A `Progress` that adds a run's part to the whole."""

    def __init__(self, overall: Overall, bar: Bar) -> None:
        self.bar, self.rounds = bar, 0
        self._overall = overall
        self._training = True

    def start(self, what: str, total: int, done: int = 0) -> None:
        self._training = what == "training"
        self.bar.start(what, total, done)
        if self._training:
            self._count(done)

    def advance(self, text: str = "") -> None:
        self.bar.advance(text)
        if self._training:
            self._count(1)

    def _count(self, rounds: int) -> None:
        self.rounds += rounds
        self._overall.add(rounds)
