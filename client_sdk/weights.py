"""The weights that a plan gives to interactions, and their way into the samples (docs/plans.md).

A task's plan may give each kind of interaction a weight. An item's weight is the largest of its interactions' weights.
The weight multiplies the loss of the item's samples, so an item of weight 2 counts as two items of weight 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from client_sdk.draws import Samples
from client_sdk.errors import UnsupportedTaskError
from client_sdk.interactions import DISLIKE, RATING, Kept
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, DRAW_WHOLE, Draw, InteractionWeights, Plan


@dataclass(frozen=True)
class Weights:
    """The weights of a plan; the fields of the message have the same names and meanings."""

    view: float
    like: float
    purchase: float
    rating: float
    lowest_rating: float
    full_rating: float
    app_weights: bool

    @classmethod
    def of(cls, plan: Plan) -> Self | None:
        """Reads the message; None: every interaction but a dislike counts 1."""
        if not plan.HasField("interactions"):
            return None
        fields = InteractionWeights.DESCRIPTOR.fields
        return cls(**{field.name: getattr(plan.interactions, field.name) for field in fields})

    def of_interaction(self, kept: Kept) -> float:
        """Computes the weight of one interaction; 0: it is not a positive."""
        if kept.kind == DISLIKE:
            return 0.0
        weight: float = getattr(self, kept.kind)
        if kept.kind == RATING:
            weight *= self._share(kept.value or 0.0)
        return weight * kept.weight if self.app_weights else weight

    def _share(self, rating: float) -> float:
        if rating < self.lowest_rating:
            return 0.0
        return min(rating / self.full_rating, 1.0) if self.full_rating else 1.0


def weighed(
    samples: Sequence[Samples], draw: Draw.ValueType, rows: NDArray[np.int64], weights: NDArray[np.float32] | None
) -> Sequence[Samples]:
    """Puts the weights of a client's items into the samples that were drawn from them.

    With `DRAW_CONTRASTS` an item's weight multiplies the weights of the positive and of the negatives that follow it.
    With `DRAW_WHOLE` it becomes the label, which is the item's share of the likelihood. The input stays as the graph
    that recommends will see it, which knows no weights.

    Args:
        samples: by local step.
        draw: the way in which they were drawn.
        rows: the client's catalogue rows, sorted and unique, (k,).
        weights: of these rows, (k,); None: the samples stay as they are.

    Raises:
        UnsupportedTaskError: the recommender draws in a way of its own.
    """
    if weights is None:
        return samples
    if draw == DRAW_CONTRASTS:
        return [_contrasts(step, rows, weights) for step in samples]
    if draw == DRAW_WHOLE:
        return [replace(step, labels=weights[np.searchsorted(rows, step.items)]) for step in samples]
    raise UnsupportedTaskError("the plan has weights of interactions, and the task's recommender draws without them")


def _contrasts(step: Samples, rows: NDArray[np.int64], weights: NDArray[np.float32]) -> Samples:
    positive = step.labels == 1
    of_positives = weights[np.searchsorted(rows, step.items[positive])]
    return replace(step, weights=step.weights * of_positives[np.cumsum(positive) - 1])
