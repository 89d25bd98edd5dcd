"""Runs of Weights & Biases, whose package takes account, server and mode of its own environment variables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from export.plan.fragments import flat
from simulator.config.config import Config
from simulator.errors import TrackingError
from simulator.reporting.trackers.contract import Tracker
from simulator.reporting.trackers.packages import module


class WandB(Tracker):
    """Writes a run of a project. With `WANDB_MODE=offline` it stays on this machine.

    Args:
        project: the project's name.

    Raises:
        TrackingError: W&B is not installed, or cannot be used.
    """

    def __init__(self, project: str) -> None:
        super().__init__()
        self._wandb, self._project = module("wandb"), project
        self._run: Any = None

    def begin(self, name: str, config: Config, facts: Mapping[str, str]) -> None:
        """Creates the run, with the configuration and the facts as its configuration."""
        settings = dict(flat(config.document())) | {f"facts.{fact}": value for fact, value in facts.items()}
        with self._explained():
            self._run = self._wandb.init(project=self._project, name=name, config=settings, reinit="create_new")

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        with self._explained():
            for step, part in groupby(values, key=lambda value: value[2]):
                numbers = {name: value for name, value, _ in part}
                final = {name: value for name, value in numbers.items() if name.startswith("test/")}
                self._run.summary.update(final)  # they are of an earlier round, and steps must ascend
                if rest := {name: value for name, value in numbers.items() if name not in final}:
                    self._run.log(rest, step=step)

    def _keep(self, files: Sequence[Path]) -> None:
        with self._explained():
            artifact = self._wandb.Artifact(f"run-{self._run.id}", type="run")
            for path in files:
                artifact.add_file(str(path))
            self._run.log_artifact(artifact)

    def _close(self, finished: bool) -> None:
        if self._run is not None:
            with self._explained():
                self._run.finish(exit_code=0 if finished else 1)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (self._wandb.errors.Error, OSError) as error:
            raise TrackingError(f"W&B: {error}") from error
