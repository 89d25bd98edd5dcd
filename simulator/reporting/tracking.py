"""Writes a run's metrics to TensorBoard or MLflow while it trains, where these are installed."""

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
from simulator.config import flags
from simulator.config.config import Config
from simulator.errors import TrackingError

EXPERIMENT = "fedau2"
"""The experiment in MLflow to which runs belong."""

_VALIDATION = ("hr@", "ndcg@")
_AT_ONCE = 1000
"""Metrics that MLflow takes in one call."""


class Tracker(ABC):
    """Told the rounds of one run, from the first on even where it was resumed, and at the end its metrics."""

    def __init__(self) -> None:
        self._written = 0

    def rounds(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of `rounds.parquet` so far; those that were not told before are written."""
        fresh = rows[self._written :]
        self._written = len(rows)
        self._write([(_group(name) + name, value, row["round"]) for row in fresh for name, value in _numbers(row)])

    def end(self, metrics: Mapping[str, Any]) -> None:
        """What `metrics.json` holds."""
        self._write([(f"test/{name}", value, metrics["round"]) for name, value in _numbers(metrics)])

    @abstractmethod
    def begin(self, name: str, config: Config) -> None:
        """A run begins.

        Args:
            name: of the run.
            config: its configuration.
        """

    @abstractmethod
    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        """Name, value and round of each."""

    @abstractmethod
    def _close(self, finished: bool) -> None:
        """Nothing follows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._close(kind is None)


class TensorBoard(Tracker):
    """Event files in a folder per run; what an earlier start of the same run wrote is superseded.

    Args:
        folder: the log directory, which `tensorboard --logdir` reads.

    Raises:
        TrackingError: TensorBoard is not installed, or the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        _module("tensorboard", "tensorboard")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrackingError(
                f"TensorBoard: {folder} is no folder that can be written to: {error.strerror}"
            ) from error
        self._folder, self._writer = folder, _module("torch.utils.tensorboard", "torch").SummaryWriter
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
    """A run of the experiment `fedau2`.

    Args:
        uri: of the tracking server, or of a store.

    Raises:
        TrackingError: MLflow is not installed, or the store cannot be used.
    """

    def __init__(self, uri: str) -> None:
        super().__init__()
        # On its own it tells its makers of its use, and retries for four minutes, in which nothing is said.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        self._mlflow, self._run = _module("mlflow", "mlflow"), ""
        with self._explained():
            self._client = self._mlflow.MlflowClient(uri)
            found = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)

    def begin(self, name: str, config: Config) -> None:
        """Creates the run, its parameters the configuration."""
        with self._explained():
            self._run = self._client.create_run(self._experiment, run_name=name).info.run_id
            entity = self._mlflow.entities.Param
            self._client.log_batch(
                self._run, params=[entity(path, str(value)) for path, value in flat(config.document())]
            )

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        now, entity = int(time.time() * 1000), self._mlflow.entities.Metric
        with self._explained():
            for start in range(0, len(values), _AT_ONCE):
                part = values[start : start + _AT_ONCE]
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
    """Where a run's metrics are to be written besides its folder.

    Attributes:
        tensorboard: TensorBoard's log directory.
        mlflow: MLflow's tracking server or store.
    """

    tensorboard: Path | None = None
    mlflow: str | None = None

    @classmethod
    def add(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the options."""
        parser.add_argument(
            "--tensorboard", type=flags.folder, metavar="DIR", help="write metrics there too, for TensorBoard"
        )
        parser.add_argument(
            "--mlflow", type=flags.filled, metavar="URI", help="write metrics there too: an MLflow server or store"
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """From a command's options."""
        return cls(options.tensorboard, options.mlflow)

    def of_grid(self, name: str) -> Self:
        """Of all runs of a grid: runs of another one may have the same names."""
        return replace(self, tensorboard=self.tensorboard / name) if self.tensorboard else self

    @contextmanager
    def of_run(self) -> Iterator[list[Tracker]]:
        """The trackers of one run while it lasts.

        Raises:
            TrackingError: as `trackers`.
        """
        with ExitStack() as opened:
            yield [opened.enter_context(each) for each in self.trackers()]

    def trackers(self) -> list[Tracker]:
        """Of one run, not begun.

        Raises:
            TrackingError: what is wanted is not installed, or the store cannot be used.
        """
        found: list[Tracker] = []
        if self.tensorboard:
            found.append(TensorBoard(self.tensorboard))
        if self.mlflow:
            found.append(MLflow(self.mlflow))
        return found


NOWHERE = Tracking()


def _module(name: str, extra: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise TrackingError(f"{name} is not installed: it needs pip install 'fedau2[{extra}]'") from error


def _group(name: str) -> str:
    return "validation/" if name.startswith(_VALIDATION) else "training/"


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Finite numbers by name; those of nested values behind a slash."""
    for name, value in values.items():
        if name in ("configuration", "round"):
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, (int, float)) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)
