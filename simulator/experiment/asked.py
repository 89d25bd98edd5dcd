"""The attacks that are asked for."""

from dataclasses import dataclass
from typing import Any, Literal, Self

from simulator.config.config import Config

Kind = Literal["none", "quick", "full"]

QUICK = 4
"""Most splits of quick attacks."""


@dataclass(frozen=True)
class Asked:
    """The attacks that are asked for.

    Attributes:
        kind: full makes all attacks in all splits, quick in at most `QUICK` of them, and none makes no attack.
        splits: random splits of each attribute attack, and of each shuffle of its null.
        seed: of splits, attackers and the choice of clients.
        workers: processes of the attackers; the result does not depend on it.
    """

    kind: Kind
    splits: int
    seed: int
    workers: int

    @classmethod
    def of(cls, config: Config, kind: Kind) -> Self:
        """Takes splits, seed and workers of a configuration."""
        splits = config.evaluation.attack_splits
        return cls(kind, min(splits, QUICK) if kind == "quick" else splits, config.engine.seed, config.engine.workers)

    def keywords(self, classes: int) -> dict[str, Any]:
        """Returns them as keywords of `attackers.attack`, for an attribute of so many classes."""
        return {"seed": self.seed, "classes": classes, "splits": self.splits, "workers": self.workers}
