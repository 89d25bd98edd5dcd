"""Computes what a device's recommend graph computes, for any client of a population: scores, and attacked states."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.kernel import contract
from client_sdk.kernel.contract import Tensors
from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.kernel.training import CPU
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire.blobs import Tensors as Arrays
from simulator import gpu
from simulator.population.columns import Column


class Scorer:
    """Scores by a model version with all clients.

    Args:
        task: the manifest.
        checkpoint: the shared tensors.
        private: the private tensors of all clients.
        histories: for each client, the interactions that the model may use.
        addends: of states that are computed of each client anew, by name, (clients, ...).
        device: where it computes.
    """

    def __init__(
        self,
        task: TaskManifest,
        checkpoint: Arrays,
        private: Mapping[str, Column],
        histories: Sequence[NDArray[np.int64]],
        addends: Mapping[str, Column] | None = None,
        device: torch.device = CPU,
    ) -> None:
        self._recommender = RECOMMENDERS[task.model].model
        shared = [spec.name for spec in task.tensors if spec.scope == TENSOR_SCOPE_SHARED]
        self._device = device
        with torch.no_grad(), gpu.memory(device):
            self._serving = self._recommender.prepare({name: self._moved(checkpoint[name]) for name in shared})
        self._private, self._histories, self._addends = private, histories, addends or {}
        self._items, self._tensors = task.items, task.tensors

    def __call__(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Computes logits, (users, items)."""
        with torch.no_grad(), gpu.memory(self._device):
            scores = torch.empty(len(users), self._items).to(self._device)
            for row, user in enumerate(users):
                scores[row] = self._recommender.score(self._serving, self._user(int(user)))
            return scores.cpu().numpy()

    def states(self, name: str, users: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Computes a state that adversaries may protect, for some clients or for all, (clients, width)."""
        states = []
        clients = range(len(self._histories)) if users is None else users
        with torch.no_grad(), gpu.memory(self._device):
            for client in clients:
                states.append(self._user(int(client))[name].flatten().cpu().numpy())
        return np.stack(states)

    def embedding(self, users: NDArray[np.int64] | None = None) -> dict[str, NDArray[np.float32]]:
        """Computes the paper's embedding of some clients, or of all, (clients, width), under its name."""
        name = contract.embedding(self._recommender, self._tensors)
        return {name: self.states(name, users)}

    def _user(self, user: int) -> Tensors:
        private = {name: self._moved(column[user]) for name, column in self._private.items()}
        states = self._recommender.user(self._serving, private, self._moved(self._histories[user]))
        return {
            **states,
            **{name: states[name] + self._moved(column[user]) for name, column in self._addends.items()},
        }

    def _moved(self, numbers: NDArray[Any]) -> Tensor:
        return torch.from_numpy(numbers).to(self._device)
