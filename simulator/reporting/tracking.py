"""Writes a run's metrics to TensorBoard or MLflow while it trains. Both are optional packages."""

import argparse
import importlib
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from export.plan import planfile
from export.plan.fragments import flat
from fedau2 import imports
from simulator.config import arguments
from simulator.config.config import Config
from simulator.errors import TrackingError
from simulator.reporting.attacked import MARK
from simulator.reporting.groups import GROUPS

EXPERIMENT = "fedau2"
"""Name of the experiment in MLflow."""

_VALIDATION = ("hr@", "ndcg@")
_BATCH = 1000
"""Most metrics in a call of MLflow."""


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

    def end(self, metrics: Mapping[str, Any]) -> None:
        """Writes the final metrics, as in `metrics.json`."""
        self._write([(f"test/{name}", value, metrics["round"]) for name, value in _numbers(metrics)])

    @abstractmethod
    def begin(self, name: str, config: Config) -> None:
        """Begins a run.

        Args:
            name: the run's name.
            config: the run's configuration.
        """

    @abstractmethod
    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        """Writes metrics, each with name, value and round."""

    @abstractmethod
    def _close(self, finished: bool) -> None:
        """Ends the run."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._close(kind is None)


class TensorBoard(Tracker):
    """Writes event files into a folder per run; they replace those of an earlier start of the same run.

    Args:
        folder: the log directory, which `tensorboard --logdir` reads.

    Raises:
        TrackingError: TensorBoard is not installed, or the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        _module("tensorboard")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrackingError(f"TensorBoard: {folder} cannot be created or written to: {error.strerror}") from error
        self._folder, self._writer = folder, _module("torch.utils.tensorboard").SummaryWriter
        self._open: Any = None

    def begin(self, name: str, config: Config) -> None:
        """Opens an event file in `folder/name`."""
        self._open = self._writer(str(self._folder / name), purge_step=1)
        self._open.add_text("configuration", f"```\n{planfile.dump(config.document())}```")

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        for name, value, step in values:
            self._open.add_scalar(name, value, step)
        self._open.flush()

    def _close(self, finished: bool) -> None:
        if self._open is not None:
            self._open.close()


class MLflow(Tracker):
    """Writes a run of the experiment `fedau2`.

    Args:
        uri: the URI of a tracking server or store.

    Raises:
        TrackingError: MLflow is not installed, or the server or store cannot be used.
    """

    def __init__(self, uri: str) -> None:
        super().__init__()
        # By default MLflow sends usage data to its authors, and retries for four minutes without a message.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        self._mlflow, self._run = _module("mlflow"), ""
        with self._explained():
            self._client = self._mlflow.MlflowClient(uri)
            known = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)

    def begin(self, name: str, config: Config) -> None:
        """Creates the run, with the configuration as its parameters."""
        with self._explained():
            self._run = self._client.create_run(self._experiment, run_name=name).info.run_id
            entity = self._mlflow.entities.Param
            self._client.log_batch(
                self._run, params=[entity(path, str(value)) for path, value in flat(config.document())]
            )

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        now, entity = int(time.time() * 1000), self._mlflow.entities.Metric
        with self._explained():
            for start in range(0, len(values), _BATCH):
                part = values[start : start + _BATCH]
                metrics = [entity(name.replace("@", "_at_"), value, now, step) for name, value, step in part]
                self._client.log_batch(self._run, metrics=metrics)

    def _close(self, finished: bool) -> None:
        if self._run:
            with self._explained():
                self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._mlflow.exceptions.MlflowException as error:
            raise TrackingError(f"MLflow: {error}") from error


@dataclass(frozen=True)
class Tracking:
    """The trackers that a user asks for.

    Attributes:
        tensorboard: TensorBoard's log directory; None: no TensorBoard.
        mlflow: URI of MLflow's tracking server or store; None: no MLflow.
    """

    tensorboard: Path | None = None
    mlflow: str | None = None

    @classmethod
    def add(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the options to a command."""
        parser.add_argument(
            "--tensorboard",
            type=arguments.folder,
            metavar="DIR",
            help="also write metrics to this TensorBoard log directory",
        )
        parser.add_argument(
            "--mlflow", type=arguments.filled, metavar="URI", help="also write metrics to this MLflow server or store"
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Reads a command's options."""
        return cls(options.tensorboard, options.mlflow)

    def for_grid(self, name: str) -> Self:
        """Gives a grid its own log directory, since runs of another grid may have the same names."""
        return replace(self, tensorboard=self.tensorboard / name) if self.tensorboard else self

    @contextmanager
    def for_run(self) -> Iterator[list[Tracker]]:
        """Opens the trackers of a run, and closes them when the run ends.

        Raises:
            TrackingError: as for `trackers`.
        """
        with ExitStack() as opened:
            yield [opened.enter_context(tracker) for tracker in self.trackers()]

    def trackers(self) -> list[Tracker]:
        """Makes the trackers of a run that has not begun.

        Raises:
            TrackingError: a package is not installed, or a folder, server or store cannot be used.
        """
        trackers: list[Tracker] = []
        if self.tensorboard:
            trackers.append(TensorBoard(self.tensorboard))
        if self.mlflow:
            trackers.append(MLflow(self.mlflow))
        return trackers


NOWHERE = Tracking()


def _module(name: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TrackingError(imports.explain(error, "simulator")) from error


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
