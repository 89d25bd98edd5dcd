"""The trackers that a user asks for: they receive a run's metrics while it trains."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from fedau2.plugins import Registry
from fedau2.similar import did_you_mean
from simulator.config import arguments
from simulator.errors import TrackingError
from simulator.reporting.trackers.contract import Tracker
from simulator.reporting.trackers.mlflow import MLflow
from simulator.reporting.trackers.tensorboard import TensorBoard
from simulator.reporting.trackers.wandb import WandB

TRACKERS: Registry[Callable[[str], Tracker]] = Registry("trackers", type, {})
"""By name: the trackers that plug-ins add, each a class that is made of its target."""


@dataclass(frozen=True)
class Tracking:
    """The trackers that a user asks for.

    Attributes:
        tensorboard: TensorBoard's log directory; None: no TensorBoard.
        mlflow: URI of MLflow's tracking server or store; None: no MLflow.
        wandb: project of W&B; None: no W&B.
        others: names and targets of trackers that plug-ins add.
    """

    tensorboard: Path | None = None
    mlflow: str | None = None
    wandb: str | None = None
    others: tuple[tuple[str, str], ...] = ()

    @classmethod
    def add(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the options to a command."""
        group = parser.add_argument_group("trackers", "Further places of the metrics.")
        group.add_argument("--tensorboard", type=arguments.folder, metavar="DIR", help="a TensorBoard log directory")
        group.add_argument("--mlflow", type=arguments.filled, metavar="URI", help="an MLflow server or folder")
        group.add_argument("--wandb", type=arguments.filled, metavar="PROJECT", help="a project of Weights & Biases")
        group.add_argument(
            "--tracker",
            type=_other,
            action="append",
            default=[],
            metavar="NAME=TARGET",
            help="a tracker that a plug-in adds (docs/plug-ins.md)",
        )

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """Reads a command's options."""
        return cls(options.tensorboard, options.mlflow, options.wandb, tuple(options.tracker))

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
        if self.wandb:
            trackers.append(WandB(self.wandb))
        return trackers + [_made(name, target) for name, target in self.others]


NOWHERE = Tracking()


def _other(text: str) -> tuple[str, str]:
    name, _, target = text.partition("=")
    if not name or not target:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TARGET")
    return name, target


def _made(name: str, target: str) -> Tracker:
    if name not in TRACKERS:
        known = f"there is {', '.join(TRACKERS)}" if TRACKERS else "no plug-in adds one"
        raise TrackingError(f"there is no tracker {name!r}: {known}{did_you_mean(name, TRACKERS)}")
    try:
        return TRACKERS[name](target)
    except OSError as error:
        raise TrackingError(f"{name}: {target} cannot be written: {error.strerror}") from error
