"""What trains a simulated round: batched or as a fleet of SDK instances."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from client_sdk.protocol.values import Report
from fedau2.v1.task_pb2 import Plan
from fedau2.wire.blobs import Tensors
from simulator.errors import ConfigError
from simulator.population.population import Members


@dataclass(frozen=True, eq=False)
class RoundReport:
    """What a round's clients report to the simulator, and to nobody else.

    Attributes:
        members: the clients, in the order of the report's rows.
        report: joined over the clients.
    """

    members: Members
    report: Report

    @classmethod
    def join(cls, members: Members, reports: Sequence[Report]) -> Self:
        """From reports of consecutive parts of `members`."""
        triggered = {n: np.concatenate([each.triggered[n] for each in reports]) for n in reports[0].triggered}
        margin = {n: np.concatenate([each.margin[n] for each in reports]) for n in reports[0].margin}
        return cls(members, Report(np.concatenate([each.loss for each in reports]), triggered, margin))

    def trigger_rate(self, adversary: str, labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, float]:
        """Share of local steps in which the trigger fired, by class; classes that did not take part are left out.

        Args:
            adversary: its name.
            labels: class number per client of the population.
            classes: names of the classes.
        """
        fired, of = self.report.triggered[adversary], labels[self.members]
        return {name: float(fired[of == c].mean()) for c, name in enumerate(classes) if (of == c).any()}


def require_any_cohort(plan: Plan) -> None:
    """Returns if every client may take part in every round, as cohorts drawn anew in each round need it.

    Raises:
        ConfigError: the plan keeps a client's contributions apart.
    """
    if plan.minimum_separation > 1:
        raise ConfigError(
            f"the plan keeps a client's contributions {plan.minimum_separation} rounds apart; the simulator draws each "
            "round's cohort from all clients: set minimum_separation to 1"
        )


class RoundEngine(Protocol):
    """Runs rounds one after another, from round 0 on."""

    @property
    def checkpoint(self) -> Tensors:
        """The newest shared tensors."""

    def train_round(self, members: Members) -> RoundReport:
        """Trains a cohort and takes the server's step."""
