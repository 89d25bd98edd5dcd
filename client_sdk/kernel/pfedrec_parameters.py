"""The settings of PFedRec. Importing this module loads no PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Widths:
    """Sizes of the model; those of the authors' code by default.

    Attributes:
        latent: width of the items' vectors.
    """

    latent: int = 32

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"PFedRec needs vectors of at least one number, not {self}")
