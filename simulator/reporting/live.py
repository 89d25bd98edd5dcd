"""A page that shows a run while it goes on. A browser loads it again every few seconds."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from simulator.config.config import Config
from simulator.reporting import html, plots, words
from simulator.reporting.trackers.contract import Tracker

PAGE = "live.html"
"""The file of a run folder with the page."""

_EVERY = 3.0
"""Seconds between two versions of the page."""

_PICTURE = "learning.png"


class Live(Tracker):
    """Writes the page; also a `simulator.experiment.trainer.Progress` that another one may stand behind.

    When the run ends, the page leads to the report.

    Args:
        folder: of the run.
        behind: the progress that is shown too.
    """

    def __init__(self, folder: Path, behind: Any) -> None:  # noqa: ANN401 - a Progress, which lies above this floor
        super().__init__()
        self._folder, self._behind = folder, behind
        self._title, self._split, self._ended = folder.name, "validation", ""
        self._phase, self._done, self._total, self._text = "preparing", 0, 0, ""
        self._latest: Mapping[str, Any] = {}
        self._drawn = 0.0

    def begin(self, name: str, config: Config, facts: Mapping[str, str]) -> None:
        """Takes the title of the page from the configuration."""
        self._title, self._split = f"{html.title(config)}: {words.label(config)}", config.evaluation.split
        self._page()

    def rounds(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Draws the metrics by round."""
        self._latest = rows[-1]
        best = max((row for row in rows if "ndcg@10" in row), key=lambda row: row["ndcg@10"])
        plots.plot_learning(pd.DataFrame(rows), best["round"], self._split, self._folder / _PICTURE)
        self._page()

    def end(self, metrics: Mapping[str, Any], folder: Path) -> None:
        """Leads to the report."""
        self._ended = "finished"

    def start(self, what: str, total: int, done: int = 0) -> None:
        """Begins a phase, as of a progress."""
        self._behind.start(what, total, done)
        self._phase, self._total, self._done, self._text = what, total, done, ""
        self._page()

    def advance(self, text: str = "") -> None:
        """Counts a part as done, as of a progress."""
        self._behind.advance(text)
        self._done, self._text = self._done + 1, text
        if time.monotonic() - self._drawn > _EVERY:
            self._page()

    def _page(self) -> None:
        self._drawn = time.monotonic()
        refresh = {"": f"{_EVERY:.0f}", "finished": "0; url=report.html"}.get(self._ended, "")
        html.write(self._folder / PAGE, self._title, self._parts(), refresh=refresh)

    def _parts(self) -> list[html.Part]:
        state = self._ended or f"{self._phase}, {self._done:,} of {self._total:,}"
        parts = [html.bar(f"{state}. {self._text}", self._done, max(1, self._total))]
        if (picture := self._folder / _PICTURE).exists():
            parts.append(html.image(picture, "HR@10 and NDCG@10 on held-out items by round"))
        numbers = {name: value for name, value in self._latest.items() if isinstance(value, int | float)}
        rows = [(name, f"{value:,}" if isinstance(value, int) else f"{value:.4g}") for name, value in numbers.items()]
        return [*parts, html.heading("The last round that was evaluated"), html.table(("", ""), rows)]

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        """Does nothing, since the page is made of rows."""

    def _close(self, finished: bool) -> None:
        if self._drawn:  # else the run has ended before it had a folder
            self._ended = self._ended or "interrupted"
            self._page()
