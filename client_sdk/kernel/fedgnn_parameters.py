"""The settings of FedGNN. Importing this module loads no PyTorch."""

from dataclasses import dataclass

NODE = "user_node"
"""The state that adversaries see by default: the user's node, with the messages of its neighbours."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the model.

    Attributes:
        latent: width of the vectors of nodes.
    """

    latent: int = 64

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"FedGNN needs vectors of at least one number, not {self}")


@dataclass(frozen=True)
class Parameters:
    """Hyper-parameters of the training.

    Attributes:
        dropout: share of the user's edges that a local step leaves out.
    """

    dropout: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
