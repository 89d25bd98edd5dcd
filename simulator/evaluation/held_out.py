"""Evaluates the ranking of held-out items by a model version with all clients."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.datasets.split import Split
from simulator.evaluation.ranking import Ranks, rank_all
from simulator.evaluation.scoring import Scorer
from simulator.population.columns import Column


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Ranks the held-out items of all users.

    Attributes:
        task: the manifest.
        split: the held-out items and their candidates.
    """

    task: TaskManifest
    split: Split

    def validation(self, checkpoint: Tensors, private: Mapping[str, Column]) -> dict[str, float]:
        """Computes the metrics that choose the best round: on validation items, in the split `paper` on test items."""
        split = self.split
        if split.validation[0] < 0:
            return self.test(checkpoint, private)
        scorer = self.scorer(checkpoint, private)
        return rank_all(scorer, split.validation, split.validation_candidates, split.seen()).metrics()

    def test(self, checkpoint: Tensors, private: Mapping[str, Column]) -> dict[str, float]:
        """Computes the metrics on test items."""
        return self.test_ranks(checkpoint, private).metrics()

    def test_ranks(self, checkpoint: Tensors, private: Mapping[str, Column]) -> Ranks:
        """Ranks the test items; the full ranking leaves out the user's training and validation items."""
        split = self.split
        held_out = split.validation[:, None]
        seen = [np.append(train, item[item >= 0]) for train, item in zip(split.seen(), held_out, strict=True)]
        return rank_all(self.scorer(checkpoint, private), split.test, split.test_candidates, seen)

    def scorer(self, checkpoint: Tensors, private: Mapping[str, Column]) -> Scorer:
        """Makes a scorer whose model has seen the training items."""
        return Scorer(self.task, checkpoint, private, self.split.train)
