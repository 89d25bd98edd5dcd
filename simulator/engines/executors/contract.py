"""The protocol of what trains the chunks of a cohort."""

from collections.abc import Callable, Sequence
from typing import Protocol

from client_sdk.protocol.values import Report
from simulator.engines.chunks import Job, Round, Sums
from simulator.population.population import Members, Population


class Executor(Protocol):
    """Trains the chunks of a round. The result does not depend on which worker trains which chunk, or when."""

    def train(self, now: Round, chunks: Sequence[Members]) -> tuple[Sums, Sequence[Report]]:
        """Trains chunks of different clients, whose new private state is then in the population.

        Args:
            now: the round.
            chunks: the clients of each chunk.

        Returns:
            The sums of all contributions, and the reports of the chunks in their order.

        Raises:
            ExecutorError: the workers are lost.
        """

    def changed(self, members: Members) -> None:
        """Notes that something else has changed the private state of clients."""

    def close(self) -> None:
        """Ends the workers."""


Start = Callable[[Job, Population, int], Executor]
"""Starts an executor of a task for a population, with so many workers."""
