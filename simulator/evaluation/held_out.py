"""Evaluates the ranking of held-out items by a model version with all clients."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.datasets.split import Split
from simulator.evaluation.personal import PersonalDevices, PersonalScorer
from simulator.evaluation.ranking import Ranks, Scores, rank_all
from simulator.evaluation.scoring import Scorer
from simulator.population.columns import Column


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Ranks the held-out items of all users.

    Attributes:
        task: the manifest.
        split: the held-out items and their candidates.
        personal: devices that take personal steps before they rank; None: they rank with the private state as it is.
        depth: most items of the lists that are recommended, with the ranks of test items; 0: no lists.
    """

    task: TaskManifest
    split: Split
    personal: PersonalDevices | None = None
    depth: int = 0

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
        scores = self._scores(checkpoint, private, rounds)
        return rank_all(scores, split.validation, split.validation_candidates, split.seen()).metrics()

    def test(self, checkpoint: Tensors, private: Mapping[str, Column], rounds: int = 0) -> dict[str, float]:
        """Computes the metrics on test items. The arguments are those of `validation`."""
        return self.test_ranks(checkpoint, private, rounds).metrics()

    def test_ranks(self, checkpoint: Tensors, private: Mapping[str, Column], rounds: int = 0) -> Ranks:
        """Ranks the test items; the full ranking leaves out the user's training and validation items.

        The arguments are those of `validation`.
        """
        split = self.split
        held_out = split.validation[:, None]
        seen = [np.append(train, item[item >= 0]) for train, item in zip(split.seen(), held_out, strict=True)]
        scores = self._scores(checkpoint, private, rounds)
        return rank_all(scores, split.test, split.test_candidates, seen, self.depth)

    def _scores(self, checkpoint: Tensors, private: Mapping[str, Column], rounds: int) -> Scores:
        if self.personal is None:
            return self.scorer(checkpoint, private)
        return PersonalScorer(self.personal, Task.load(self.task, checkpoint), checkpoint, rounds, self.split.train)

    def scorer(self, checkpoint: Tensors, private: Mapping[str, Column]) -> Scorer:
        """Makes a scorer whose model has seen the training items."""
        return Scorer(self.task, checkpoint, private, self.split.train)
