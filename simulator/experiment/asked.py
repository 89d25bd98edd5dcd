"""The attacks that are asked for."""

from dataclasses import dataclass
from typing import Any, Literal, Self

from simulator.config.config import Config
from simulator.evaluation.attacked_users import MOST_USERS

Kind = Literal["none", "quick", "full"]

QUICK = 4
"""Most splits of quick attacks."""

QUICK_USERS = 4_000
"""Most users of a quick attack on an attribute."""


@dataclass(frozen=True)
class Asked:
    """The attacks that are asked for.

    Attributes:
        kind: full makes all attacks in all splits, quick in at most `QUICK` of them, and none makes no attack.
        splits: random splits of each attribute attack, and of each shuffle of its null.
        seed: of splits, attackers and the choice of clients.
        users: most users of an attack on an attribute, as many of each class.
        workers: processes of the attackers; the result does not depend on it.
    """

    kind: Kind
    splits: int
    seed: int
    users: int
    workers: int

    @classmethod
    def of(cls, config: Config, kind: Kind) -> Self:
        """Takes splits, seed and workers of a configuration."""
        splits, users = config.evaluation.attack_splits, MOST_USERS
        if kind == "quick":
            splits, users = min(splits, QUICK), min(users, QUICK_USERS)
        return cls(kind, splits, config.engine.seed, users, config.engine.workers)

    def keywords(self, classes: int) -> dict[str, Any]:
        """Returns them as keywords of `attackers.attack`, for an attribute of so many classes."""
        return {
            "seed": self.seed,
            "classes": classes,
            "splits": self.splits,
            "most": self.users,
            "workers": self.workers,
        }
