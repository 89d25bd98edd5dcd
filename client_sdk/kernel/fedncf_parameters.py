"""The settings of FedNCF. Importing this module loads no PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Widths:
    """Sizes of the model; the paper's by default.

    Attributes:
        gmf: width of the generalised matrix factorisation branch; 0 leaves it out.
        mlp: width of the item and user vectors that the MLP sees.
        hidden: widths of the MLP's layers.
    """

    gmf: int = 32
    mlp: int = 128
    hidden: tuple[int, ...] = (128, 64, 32)

    def __post_init__(self) -> None:
        if self.gmf < 0 or self.mlp < 1 or not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"FedNCF needs an MLP with layers of at least one unit, not {self}")
