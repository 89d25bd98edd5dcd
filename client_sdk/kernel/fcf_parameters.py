"""The settings of FCF. Importing this module loads no PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Widths:
    """Sizes of the model.

    Attributes:
        latent: width of the users' and items' vectors.
    """

    latent: int = 32

    def __post_init__(self) -> None:
        if self.latent < 1:
            raise ValueError(f"FCF needs vectors of at least one number, not {self}")
