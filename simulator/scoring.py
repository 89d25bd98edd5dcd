"""Scores of every item for simulated clients, from a checkpoint and their private tensors."""

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.state import Columns
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire.blobs import Tensors


class Scorer:
    """What a device's recommend graph computes, for any client of the population.

    Args:
        task: the manifest.
        checkpoint: shared tensors.
        private: private tensors of all clients.
    """

    def __init__(self, task: TaskManifest, checkpoint: Tensors, private: Columns) -> None:
        self._recommender = RECOMMENDERS[task.model]
        shared = [spec.name for spec in task.tensors if spec.scope == TENSOR_SCOPE_SHARED]
        self._serving = self._recommender.prepare({name: torch.tensor(checkpoint[name]) for name in shared})
        self._private = private
        self._items = task.items

    def __call__(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits, (users, items)."""
        scores = np.empty((len(users), self._items), np.float32)
        with torch.no_grad():
            for row, user in enumerate(users):
                private = {name: torch.from_numpy(column[user]) for name, column in self._private.items()}
                scores[row] = self._recommender.score(self._serving, private).numpy()
        return scores
