"""The settings of FedRAP. Importing this module loads no PyTorch."""

import math
from dataclasses import dataclass

SUM = "item_personal.sum"
"""The paper's protected state: the personal vectors, summed over the latent axis."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the model; the paper's by default.

    Attributes:
        latent: width of the items' vectors.
    """

    latent: int = 32

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"FedRAP needs vectors of at least one number, not {self}")


@dataclass(frozen=True)
class Parameters:
    """Hyper-parameters of the loss; the paper's by default.

    Attributes:
        l1_weight: mu, the weight of the mean absolute value of the items' common vectors.
    """

    l1_weight: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.l1_weight < math.inf:
            raise ValueError(f"l1_weight must be a finite number of at least 0, not {self.l1_weight}")
