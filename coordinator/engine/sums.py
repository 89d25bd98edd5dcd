"""Makes the sum of a task's rounds."""

from coordinator.engine.hidden_sum import HiddenSum
from coordinator.engine.round_sum import PlainSum, RoundSum
from coordinator.model.task import TaskSpec


def of(population: str, spec: TaskSpec) -> RoundSum:
    """Makes an empty sum of a round of a task, whose population is given for the metrics."""
    return HiddenSum(population, spec) if spec.hidden else PlainSum(population, spec)
