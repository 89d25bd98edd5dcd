"""The protocol of the engines that train simulated rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from client_sdk.protocol.values import Report
from fedau2.v1.task_pb2 import Plan
from fedau2.wire.blobs import Tensors
from simulator.errors import ConfigError
from simulator.population.population import Members


@dataclass(frozen=True)
class Traffic:
    """The bytes of a contribution, means over a run.

    Attributes:
        uploaded: bytes that its client sends.
        downloaded: bytes that its client receives.
    """

    uploaded: float
    downloaded: float


@dataclass(frozen=True, eq=False)
class RoundReport:
    """The report of a round's clients to the simulator. No coordinator receives it.

    Attributes:
        members: the clients, in the order of the report's rows.
        report: the report of all clients.
    """

    members: Members
    report: Report

    @classmethod
    def join(cls, members: Members, reports: Sequence[Report]) -> Self:
        """Joins the reports of consecutive parts of `members`."""
        triggered = {name: np.concatenate([part.triggered[name] for part in reports]) for name in reports[0].triggered}
        margin = {name: np.concatenate([part.margin[name] for part in reports]) for name in reports[0].margin}
        return cls(members, Report(np.concatenate([part.loss for part in reports]), triggered, margin))

    def trigger_rate(self, adversary: str, labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
        """Computes the share of local steps in which the trigger fired, by class.

        Classes without a client in the round are left out.

        Args:
            adversary: the adversary's name.
            labels: class number of each client of the population.
            classes: names of the classes.
        """
        fired, label = self.report.triggered[adversary], labels[self.members]
        return {name: float(fired[label == c].mean()) for c, name in enumerate(classes) if (label == c).any()}


def require_any_cohort(plan: Plan) -> None:
    """Checks that a plan lets each client take part in each round, since a cohort is drawn from all clients.

    Raises:
        ConfigError: the plan keeps a client's contributions several rounds apart.
    """
    if plan.minimum_separation > 1:
        raise ConfigError(
            f"the plan keeps a client's contributions {plan.minimum_separation} rounds apart; the simulator draws each "
            "round's cohort from all clients: set minimum_separation to 1"
        )


def require_own_rounds(plan: Plan) -> None:
    """Checks that a plan counts each contribution in the round in which it began.

    Raises:
        ConfigError: it has buffered rounds.
    """
    if plan.server.HasField("buffered"):
        raise ConfigError(
            "the batched engine trains whole cohorts, and the plan has buffered rounds: set engine.name to fleet and "
            "engine.buffer, or server.most_stale to 0"
        )


class Resumable(Protocol):
    """The shared state of an engine, from which an interrupted run resumes."""

    def snapshot(self) -> Mapping[str, Tensors]:
        """Returns the shared state in named groups."""

    def restore(self, snapshot: Mapping[str, Tensors], rounds: int) -> None:
        """Resumes from a snapshot that was taken after this many rounds."""


class RoundEngine(Protocol):
    """Trains rounds one after another, from round 0 on."""

    @property
    def checkpoint(self) -> Tensors:
        """The newest shared tensors."""

    def train_round(self, members: Members) -> RoundReport:
        """Trains a cohort and takes the server's step."""

    @property
    def resumable(self) -> Resumable | None:
        """The part that is saved when a run is interrupted; None if an interrupted run cannot resume."""

    def traffic(self, contributions: int) -> Traffic:
        """Returns the bytes of a contribution, the mean over all contributions of the run.

        Args:
            contributions: number of contributions of the run so far.
        """


class WrappedEngine:
    """Base of a `RoundEngine` that observes the rounds of another one; it forwards all but `train_round`.

    An interrupted run with it cannot resume, since the observer would miss the earlier rounds.

    Args:
        engine: the engine that trains.
    """

    resumable = None

    def __init__(self, engine: RoundEngine) -> None:
        self._engine = engine

    @property
    def checkpoint(self) -> Tensors:
        """The newest shared tensors."""
        return self._engine.checkpoint

    def traffic(self, contributions: int) -> Traffic:
        """Returns the bytes of a contribution, as the wrapped engine has them."""
        return self._engine.traffic(contributions)
