"""The settings of the recommender `biased`. They are read for every list of names, so this loads no PyTorch."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from client_sdk.kernel.models import RecommenderEntry

if TYPE_CHECKING:
    from client_sdk.kernel.contract import Recommender


@dataclass(frozen=True)
class Widths:
    """Sizes of the model.

    Attributes:
        factors: width of the vectors of items and users.
    """

    factors: int = field(default=16, metadata={"text": "Width of the vectors of items and users."})

    def __post_init__(self) -> None:
        if self.factors < 1:
            raise ValueError(f"factors must be a number from 1 on, not {self.factors}")


def _load() -> "Recommender":
    from fedau2_example import biased

    return biased


BIASED = RecommenderEntry(_load, Widths, usual={"server.shared.learning_rate": 0.01})

PRESETS = {"noise": {"plan.adversaries": "none", "after_training.noise": 1.0}}
"""Only what differs: the presets that are the same for all recommenders are there by themselves."""
