"""The contract of a tracker: it receives a run's beginning, its rounds, and its end."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simulator.config.config import Config
from simulator.reporting.attacked import MARK
from simulator.reporting.groups import GROUPS

FILES = ("config.yaml", "plan.yaml", "dataset.json", "metrics.json", "rounds.parquet", "report.html")
PICTURES = "*.png"
"""The files that trackers keep of a run folder. Models, state and ranks, which disclose users, are not among them."""

_VALIDATION = ("hr@", "ndcg@")
_LOG = logging.getLogger(__name__)


class Tracker(ABC):
    """Writes the rounds of a run and its final metrics.

    A resumed run writes its rounds from the first one again. A tracker that fails once the run has begun does not end
    it: what was raised is logged in a line, and the rows of the rounds are written with the next ones.
    """

    def __init__(self) -> None:
        self._written, self._failing = 0, False

    def rounds(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes the rows of `rounds.parquet` that have been added since the last call.

        Args:
            rows: all rows so far.
        """
        fresh = rows[self._written :]
        values = [(_group(name) + name, value, row["round"]) for row in fresh for name, value in _numbers(row)]
        with self._spared():
            self._write(values)
            self._written = len(rows)

    def end(self, metrics: Mapping[str, Any], folder: Path) -> None:
        """Writes the final metrics, and keeps the run's files.

        Args:
            metrics: as in `metrics.json`.
            folder: of the run.
        """
        files = [folder / name for name in FILES] + sorted(folder.glob(PICTURES))
        with self._spared():
            self._write([(f"test/{name}", value, metrics["round"]) for name, value in _numbers(metrics)])
        with self._spared():
            self._keep([path for path in files if path.exists()])

    @abstractmethod
    def begin(self, name: str, config: Config, facts: Mapping[str, str]) -> None:
        """Begins a run, before it trains. An error that is raised here ends it.

        Args:
            name: the run's name.
            config: the run's configuration.
            facts: where it comes from: `fedau2` (the version), `data` (a checksum), and `commit` where there is one.
        """

    @abstractmethod
    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        """Writes metrics, each with name, value and round."""

    def _keep(self, files: Sequence[Path]) -> None:
        """Keeps files of the run, where the tracker can."""
        return

    @abstractmethod
    def _close(self, finished: bool) -> None:
        """Ends the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with self._spared():
            self._close(kind is None)

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """Logs what is raised; only the first of several failures in a row."""
        try:
            yield
            self._failing = False
        except Exception as error:
            if not self._failing:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                _LOG.warning("the tracker %s has failed, and the run goes on: %s", type(self).__name__, text)
            self._failing = True


def _group(name: str) -> str:
    return "validation/" if name.startswith(_VALIDATION) else "training/"


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yields the finite numbers with their names; a slash joins the names of nested values."""
    for name, value in values.items():
        if name in ("configuration", "round", MARK, GROUPS, "intervals"):
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)
