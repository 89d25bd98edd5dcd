"""Scores as devices serve them: after personal steps on the model that they have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.wire.blobs import Tensors
from simulator import gpu
from simulator.evaluation.scoring import Scorer
from simulator.population import personal
from simulator.population.population import Population


@dataclass(frozen=True, eq=False)
class PersonalDevices:
    """The devices of a population, which take personal steps before they recommend.

    Attributes:
        population: as training leaves it; personal steps do not change it.
        steps: of each device on each model, from the state that its contributions start from.
    """

    population: Population
    steps: int


@dataclass(frozen=True, eq=False)
class PersonalScorer:
    """Scores by a model version with the personal state of the clients.

    Attributes:
        devices: the clients.
        task: the model, on the device that computes.
        checkpoint: its tensors.
        rounds: for which it has been trained.
        histories: for each client, the interactions that the model may use.
    """

    devices: PersonalDevices
    task: Task
    checkpoint: Tensors
    rounds: int
    histories: Sequence[NDArray[np.int64]]

    def __call__(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Computes logits, (users, items)."""
        numbers = range(self.devices.steps)
        with gpu.memory(self.task.device):
            state = personal.stepped(self.devices.population, self.task, self.rounds, users, numbers)
        histories = [self.histories[user] for user in users]
        scorer = Scorer(self.task.manifest, self.checkpoint, state.values, histories, device=self.task.device)
        return scorer(np.arange(len(users)))
