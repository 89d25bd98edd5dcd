"""The order of the items that a trained state recommends to each user, and what a changed state loses of it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.kernel.contract import ITEM, Tensors
from client_sdk.kernel.models import RECOMMENDERS
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_SHARED
from fedau2.wire.blobs import Tensors as Arrays
from simulator.population.columns import Column

TOP, MARGIN = 20, 0.05
"""Items of an order, and the difference of logits by which each should lie above the next."""


class Orders:
    """The orders of a trained model's users, of the items that they have not recorded.

    Args:
        task: the manifest.
        checkpoint: the shared tensors.
        private: the private tensors of all users.
        histories: for each user, the rows of the recorded items.
    """

    def __init__(
        self,
        task: TaskManifest,
        checkpoint: Arrays,
        private: Mapping[str, Column],
        histories: Sequence[NDArray[np.int64]],
    ) -> None:
        self._recommender = RECOMMENDERS[task.model].model
        names = [spec.name for spec in task.tensors if spec.scope == TENSOR_SCOPE_SHARED]
        self._shapes = {name: tuple(private[name].shape[1:]) for name in sorted(private)}
        self._histories = [torch.from_numpy(history) for history in histories]
        with torch.no_grad():
            self._serving = self._recommender.prepare({name: torch.tensor(checkpoint[name]) for name in names})
            self._first = [self._items(user, private) for user in range(len(histories))]

    def _items(self, user: int, private: Mapping[str, Column]) -> Tensor:
        of_user = {name: torch.from_numpy(column[user]) for name, column in private.items()}
        scores, history = self._scores(of_user, user), self._histories[user]
        scores[history] = -torch.inf
        return scores.topk(min(TOP, len(scores) - len(history))).indices

    def loss(self, state: Tensor, user: int) -> Tensor:
        """Adds up by how much each item of a user's order misses the margin to the next, in a changed state.

        Args:
            state: the private tensors side by side, in the order of their names, (width,).
            user: number of the user.
        """
        parts = torch.split(state, [math.prod(shape) for shape in self._shapes.values()])
        private = {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
        scores = self._scores(private, user, self._first[user])
        return torch.relu(scores[1:] - scores[:-1] + MARGIN).sum()

    def _scores(self, private: Tensors, user: int, items: Tensor | slice = slice(None)) -> Tensor:
        states = self._recommender.user(self._serving, private, self._histories[user])
        return self._recommender.score(_cut(self._serving, items), _cut(states, items))


def _cut(tensors: Tensors, items: Tensor | slice) -> Tensors:
    """Cuts tensors over items to some of them."""
    return {name: value[..., items] if name.startswith(ITEM) else value for name, value in tensors.items()}
