"""The sum of the contributions to a task's open round."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation import choice
from coordinator.aggregation.norms import Norms
from coordinator.model.task import Content, TaskSpec
from coordinator.store.round_log import Location
from fedau2.v1.admin_pb2 import ContributionNorms
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.secure.masked import Masked


@dataclass(frozen=True)
class Record:
    """A contribution that is stored.

    Attributes:
        assignment_id: of its assignment.
        sha256: of its bytes.
        location: of its bytes in the round's log.
        staleness: rounds that were committed since its check-in.
    """

    assignment_id: bytes
    sha256: bytes
    location: Location
    staleness: int = 0


ReadState = Callable[[], Tensors]
"""Reads the server's state before a round, which is as large as the model twice, where it is needed."""


class RoundSum(Protocol):
    """The contributions of a round, added up."""

    population: str
    """The task's."""

    def add(self, record: Record, content: Content) -> dict[str, float]:
        """Adds a stored contribution; returns its norms by "shared" and "adversary", as far as they are known."""

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """Returns the mean, see `aggregators.Aggregator`.

        Raises:
            ImplausibleSumError: honest devices cannot have it.
        """

    def variances(self) -> dict[str, float]:
        """Returns the variances of the mean's known noise, see `aggregators.Aggregator`."""

    def statistics(self) -> ContributionNorms:
        """Returns what an operator may know of the contributions' norms."""

    def remembered(self) -> Tensors:
        """Returns what the server's state keeps of the contributions, see `aggregators.Aggregator`."""

    def begin(self, state: ReadState) -> None:
        """Begins a round with nothing added."""


class PlainSum:
    """The sum of contributions that the coordinator reads.

    Args:
        population: of the task.
        spec: the task's fixed rules.
        state: reads the server's state before the first round.
    """

    def __init__(self, population: str, spec: TaskSpec, state: ReadState) -> None:
        self.population, self._spec = population, spec
        self._norms = Norms(manifest.shared(spec.manifest))
        self.begin(state)

    def add(self, record: Record, content: Content) -> dict[str, float]:
        """As `RoundSum.add`; none of the values is above the task's bound."""
        assert not isinstance(content, Masked)
        self._total.add(content, largest=self._spec.bound, factor=self._spec.weight(record.staleness))
        self._staleness[record.staleness] += 1
        return self._norms.add(content)

    def mean(self) -> dict[str, NDArray[np.float64]]:
        """As `RoundSum.mean`."""
        return self._total.mean()

    def variances(self) -> dict[str, float]:
        """As `RoundSum.variances`."""
        return self._total.variances()

    def statistics(self) -> ContributionNorms:
        """As `RoundSum.statistics`."""
        statistics = self._norms.statistics()
        if self._spec.rule.most_stale:
            statistics.staleness.update(self._staleness)
        return statistics

    def remembered(self) -> Tensors:
        """As `RoundSum.remembered`."""
        return self._total.remembered()

    def begin(self, state: ReadState) -> None:
        """As `RoundSum.begin`."""
        task = self._spec.manifest
        self._total = choice.of(task, self._spec.closing, state() if task.plan.server.clip_medians else {})
        self._norms.reset()
        self._staleness = Counter[int]()
