"""The figures of a run: ranking of held-out items, and what attackers read from private state."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.state import Columns
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.attackers import ATTACKERS, attack
from simulator.datasets import Attribute
from simulator.ranking import evaluate
from simulator.scoring import Scorer
from simulator.split import Split


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Ranks held-out items.

    Attributes:
        task: the manifest.
        split: what is held out.
    """

    task: TaskManifest
    split: Split

    def validation(self, checkpoint: Tensors, private: Columns) -> dict[str, float]:
        """Metrics that choose the round: on validation items, or on test items where the split has none (`paper`)."""
        split = self.split
        if split.validation[0] < 0:
            return self.test(checkpoint, private)
        scorer = Scorer(self.task, checkpoint, private)
        return evaluate(scorer, split.validation, split.validation_candidates, split.train)

    def test(self, checkpoint: Tensors, private: Columns) -> dict[str, float]:
        """Metrics on test items; the full ranking leaves out train and validation items."""
        split = self.split
        held_out = split.validation[:, None]
        seen = [np.append(train, held[held >= 0]) for train, held in zip(split.train, held_out, strict=True)]
        return evaluate(Scorer(self.task, checkpoint, private), split.test, split.test_candidates, seen)


def embedding(task: TaskManifest, private: Columns) -> NDArray[np.float32]:
    """The paper's protected state, also of a task without an adversary, (users, width)."""
    return _features(private, RECOMMENDERS[task.model].EMBEDDING)


def attribute_attacks(
    task: TaskManifest, private: Columns, attribute: Attribute, seed: int, splits: int
) -> dict[str, float]:
    """Every attacker on the paper's embedding and on all private state (suffix `_all`), each with its null."""
    states = {"": embedding(task, private), "_all": _features(private, sorted(private))}
    metrics: dict[str, float] = {}
    for name in ATTACKERS:
        for suffix, features in states.items():
            result = attack(features, attribute.labels, name, seed=seed, classes=len(attribute.classes), splits=splits)
            metrics[f"bacc_{name}{suffix}"] = result.bacc
            metrics[f"bacc_std_{name}{suffix}"] = result.std
            metrics[f"bacc_null_mean_{name}{suffix}"] = result.null_mean
            metrics[f"bacc_null_p95_{name}{suffix}"] = result.null_p95
    return metrics


def _features(private: Columns, names: Sequence[str]) -> NDArray[np.float32]:
    return np.concatenate([private[name].reshape(len(private[name]), -1) for name in names], axis=1)
