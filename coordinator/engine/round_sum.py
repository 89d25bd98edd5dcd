"""The sum of the contributions to a task's open round."""

from collections.abc import Mapping

from coordinator.aggregation import aggregators
from coordinator.aggregation.norms import Norms
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from fedau2.wire.contributions import Update


class RoundSum:
    """The sum of a round's contributions, and their norms.

    Args:
        population: of the task.
        task: the checked manifest.

    Attributes:
        population: as given.
        total: the sum.
        norms: the norms of what was added.
    """

    def __init__(self, population: str, task: TaskManifest) -> None:
        self.population = population
        self.total = aggregators.of(task)
        self.norms = Norms(manifest.shared(task))

    def add(self, contribution: Mapping[str, Update], bound: float) -> dict[str, float]:
        """Adds a checked contribution, none of whose values is above the bound; returns its norms."""
        self.total.add(contribution, largest=bound)
        return self.norms.add(contribution)

    def reset(self) -> None:
        """Starts again with nothing added."""
        self.total.reset()
        self.norms.reset()
