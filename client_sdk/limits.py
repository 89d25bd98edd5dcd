"""What a training may take of a device."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of one local step.

    Attributes:
        memory: bytes that the runtime may hold for a step's tensors, > 0. Inputs come on top.
        seconds: that a step may take, > 0.
    """

    memory: int = 2**30
    seconds: float = 120.0
