"""Progress of runs that are started in Python: none, bars, or an object of the caller's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console

from simulator.experiment.trainer import Progress
from simulator.reporting.terminal import Bar, bars

Shown = Progress | Literal["bars"] | None
"""The display of a run: none, bars in a terminal or a notebook, or an object of the caller's."""


class Silent:
    """A `Progress` that nobody sees."""

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Begins a phase."""

    def advance(self, text: str = "") -> None:
        """Counts a part."""


@contextmanager
def shown(progress: Shown, name: str) -> Iterator[Progress]:
    """Opens what is shown of a run of this name."""
    if progress == "bars":
        with bars(Console()) as display:
            yield Bar(display, name)
    else:
        yield progress or Silent()
