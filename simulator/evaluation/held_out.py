"""Evaluates the ranking of held-out items by a model version with all clients, or with a sample of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk.kernel.training import CPU, Task
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.datasets.split import Split
from simulator.evaluation import sampling
from simulator.evaluation.personal import PersonalDevices, PersonalScorer
from simulator.evaluation.ranking import Ranks, Scores, rank_all
from simulator.evaluation.scoring import Scorer
from simulator.population.columns import Column


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Ranks the held-out items of users.

    Attributes:
        task: the manifest.
        split: the held-out items and their candidates.
        personal: devices that take personal steps before they rank; None: they rank with the private state as it is.
        most: most users that are ranked, see `sampling.users`; 0: all.
        depth: most items of the lists that are recommended, with the ranks of test items; 0: no lists.
        device: where scores are computed.
    """

    task: TaskManifest
    split: Split
    personal: PersonalDevices | None = None
    most: int = 0
    depth: int = 0
    device: torch.device = CPU

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """The users that are ranked, in order."""
        return sampling.users(len(self.split.train), self.most)

    def validation(self, checkpoint: Tensors, private: Mapping[str, Column], rounds: int = 0) -> dict[str, float]:
        """Computes the metrics that choose the best round: on validation items, in the split `paper` on test items.

        Args:
            checkpoint: of the model.
            private: of the clients.
            rounds: for which the model has been trained; only personal steps need it.
        """
        split = self.split
        if split.validation[0] < 0:
            return self.test(checkpoint, private, rounds)
        seen = [split.seen(user) for user in self.users.tolist()]
        scores = self._scores(checkpoint, private, rounds)
        return rank_all(scores, split.validation[self.users], self._candidates[0], seen).metrics()

    def test(self, checkpoint: Tensors, private: Mapping[str, Column], rounds: int = 0) -> dict[str, float]:
        """Computes the metrics on test items. The arguments are those of `validation`."""
        return self.test_ranks(checkpoint, private, rounds).metrics()

    def test_ranks(
        self,
        checkpoint: Tensors,
        private: Mapping[str, Column],
        rounds: int = 0,
        addends: Mapping[str, Column] | None = None,
    ) -> Ranks:
        """Ranks the test items of `users`; the full ranking leaves out the user's training and validation items.

        The arguments are those of `validation`, and the addends are those of a `Scorer`.
        """
        split, seen = self.split, []
        for user in self.users.tolist():
            held_out = split.validation[user : user + 1]
            seen.append(np.append(split.seen(user), held_out[held_out >= 0]))
        scores = self._scores(checkpoint, private, rounds, addends)
        return rank_all(scores, split.test[self.users], self._candidates[1], seen, self.depth)

    @cached_property
    def _candidates(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self.split.candidates(self.users)

    def _scores(
        self,
        checkpoint: Tensors,
        private: Mapping[str, Column],
        rounds: int,
        addends: Mapping[str, Column] | None = None,
    ) -> Scores:
        """Returns what scores for the users at places of `users`."""
        scores: Scores = self.scorer(checkpoint, private, addends)
        if self.personal is not None:
            task = Task.load(self.task, checkpoint, self.device)
            scores = PersonalScorer(self.personal, task, checkpoint, rounds, self.split.train)
        return lambda places: scores(self.users[places])

    def scorer(
        self, checkpoint: Tensors, private: Mapping[str, Column], addends: Mapping[str, Column] | None = None
    ) -> Scorer:
        """Makes a scorer whose model has seen the training items."""
        return Scorer(self.task, checkpoint, private, self.split.train, addends, self.device)
