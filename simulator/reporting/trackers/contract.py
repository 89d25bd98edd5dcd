"""The contract of a tracker: it receives a run's beginning, its rounds, and its end."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
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


class Tracker(ABC):
    """Writes the rounds of a run and its final metrics.

    A resumed run writes its rounds from the first one again.
    """

    def __init__(self) -> None:
        self._written = 0

    def rounds(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes the rows of `rounds.parquet` that have been added since the last call.

        Args:
            rows: all rows so far.
        """
        fresh = rows[self._written :]
        self._written = len(rows)
        self._write([(_group(name) + name, value, row["round"]) for row in fresh for name, value in _numbers(row)])

    def end(self, metrics: Mapping[str, Any], folder: Path) -> None:
        """Writes the final metrics, and keeps the run's files.

        Args:
            metrics: as in `metrics.json`.
            folder: of the run.
        """
        self._write([(f"test/{name}", value, metrics["round"]) for name, value in _numbers(metrics)])
        files = [folder / name for name in FILES] + sorted(folder.glob(PICTURES))
        self._keep([path for path in files if path.exists()])

    @abstractmethod
    def begin(self, name: str, config: Config, facts: Mapping[str, str]) -> None:
        """Begins a run.

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
        self._close(kind is None)


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
