"""The figures of a run: ranking of held-out items, and what attackers read from private state."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr_multiply

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from simulator.datasets import Attribute
from simulator.datasets.split import Split
from simulator.evaluation.attackers import ATTACKERS, AttackResult, attack, expect_finite
from simulator.evaluation.ranking import Ranks, rank_all
from simulator.evaluation.scoring import Scorer
from simulator.population.columns import Column, blocks

_NUMBERS = 2**22
"""Features, of all users together, that are looked at at a time."""

AXES = 128
"""Most principal axes that are kept of a state that is wider than there are users."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Ranks held-out items.

    Attributes:
        task: the manifest.
        split: what is held out.
    """

    task: TaskManifest
    split: Split

    def validation(self, checkpoint: Tensors, private: Mapping[str, Column]) -> dict[str, float]:
        """Metrics that choose the round: on validation items, or on test items where the split has none (`paper`)."""
        split = self.split
        if split.validation[0] < 0:
            return self.test(checkpoint, private)
        scorer = self.scorer(checkpoint, private)
        return rank_all(scorer, split.validation, split.validation_candidates, split.train).metrics()

    def test(self, checkpoint: Tensors, private: Mapping[str, Column]) -> dict[str, float]:
        """Metrics on test items."""
        return self.test_ranks(checkpoint, private).metrics()

    def test_ranks(self, checkpoint: Tensors, private: Mapping[str, Column]) -> Ranks:
        """Ranks of test items; the full ranking leaves out train and validation items."""
        split = self.split
        held_out = split.validation[:, None]
        seen = [np.append(train, held[held >= 0]) for train, held in zip(split.train, held_out, strict=True)]
        return rank_all(self.scorer(checkpoint, private), split.test, split.test_candidates, seen)

    def scorer(self, checkpoint: Tensors, private: Mapping[str, Column]) -> Scorer:
        """Scores by a model that has seen the training items."""
        return Scorer(self.task, checkpoint, private, self.split.train)


@dataclass(frozen=True, eq=False)
class Attacked:
    """The states of all clients that are attacked, (clients, width).

    Attributes:
        embedding: the paper's.
        private: all private state; of a model that keeps none the embedding itself.
    """

    embedding: NDArray[np.float32]
    private: NDArray[np.float32]

    @classmethod
    def of(cls, scorer: Scorer, private: Mapping[str, Column]) -> Self:
        """Of a model version with all clients."""
        (embedding,) = scorer.embedding().values()
        seen = narrow([embedding])
        return cls(seen, narrow([private[name] for name in sorted(private)]) if private else seen)


def attribute_attacks(
    attacked: Attacked, attribute: Attribute, *, seed: int, splits: int, workers: int = 1
) -> dict[str, Any]:
    """Every attacker on the paper's embedding and on all private state (suffix `_all`), each with its null.

    The seed, splits and workers are those of `attackers.attack`.
    """
    how = {"seed": seed, "classes": len(attribute.classes), "splits": splits, "workers": workers}
    metrics: dict[str, Any] = {}
    for name in ATTACKERS:
        found = attack(attacked.embedding, attribute.labels, name, **how)
        metrics |= _figures(name, "", found)
        if attacked.private is not attacked.embedding:
            found = attack(attacked.private, attribute.labels, name, **how)
        metrics |= _figures(name, "_all", found)
    return metrics


def _figures(name: str, suffix: str, found: AttackResult) -> dict[str, Any]:
    return {
        f"bacc_{name}{suffix}": found.bacc,
        f"bacc_std_{name}{suffix}": found.std,
        f"macro_f1_{name}{suffix}": found.macro_f1,
        f"bacc_null_mean_{name}{suffix}": found.null_mean,
        f"bacc_null_p95_{name}{suffix}": found.null_p95,
        **({f"{name}_families{suffix}": dict(found.families)} if found.families else {}),
    }


def narrow(columns: Sequence[Column]) -> NDArray[np.float32]:
    """Features, side by side; of those that are wider than there are users, what lies on their principal axes.

    Wider ones are standardised first, and turned at random afterwards, so that no axis stands out and standardising
    them again changes little. What all axes would show, in hours: docs/attacks.md.
    """
    users = columns[0].shape[0]
    if sum(math.prod(column.shape[1:]) for column in columns) <= users:
        return np.concatenate(list(blocks(columns, _NUMBERS)), axis=1)
    values, vectors = eigh(_products(columns).T, overwrite_a=True, driver="evd")
    vectors *= np.sqrt(values.clip(min=0))
    kept = min(users, AXES)
    turn = np.random.default_rng(0).standard_normal((kept, kept))
    turned, _ = qr_multiply(turn, vectors[:, -kept:], mode="right", overwrite_a=True, overwrite_c=True)
    return np.ascontiguousarray(turned, np.float32)


def _products(columns: Sequence[Column]) -> NDArray[np.float64]:
    """Inner products of all users' standardised features, (users, users)."""
    users = columns[0].shape[0]
    products = np.zeros((users, users))
    for features in blocks(columns, _NUMBERS):
        expect_finite(features, np.arange(users))
        spread = features.std(0)
        scaled = ((features - features.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float64)
        products += scaled @ scaled.T
    return products
