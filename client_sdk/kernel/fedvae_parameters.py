"""The settings of FedVAE. Importing this module loads no PyTorch."""

import math
from dataclasses import dataclass

LATENT = "latent"
"""The state that adversaries see."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the model; the paper's by default.

    Attributes:
        hidden: width of the layers next to the items.
        latent: width of the latent.
    """

    hidden: int = 600
    latent: int = 200

    def __post_init__(self) -> None:
        if min(self.hidden, self.latent) < 1:
            raise ValueError(f"FedVAE needs layers of at least one unit, not {self}")


@dataclass(frozen=True)
class Parameters:
    """Hyper-parameters of the loss; the paper's by default.

    Attributes:
        kl_cap: largest weight of the Kullback-Leibler divergence.
        kl_anneal_rounds: the divergence weighs round / kl_anneal_rounds while that is below `kl_cap`; with 0 it always
            weighs `kl_cap`.
        dropout: share of its inputs that the encoder does not see while it learns.
    """

    kl_cap: float = 0.2
    kl_anneal_rounds: int = 20_000
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.kl_cap < math.inf:
            raise ValueError(f"kl_cap must be a finite number of at least 0, not {self.kl_cap}")
        if self.kl_anneal_rounds < 0:
            raise ValueError(f"kl_anneal_rounds must be at least 0, not {self.kl_anneal_rounds}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
