"""Bounds on the memory and time that training may take of a device."""

import math
from dataclasses import dataclass
from numbers import Real

from client_sdk import arguments
from client_sdk.errors import UsageError


@dataclass(frozen=True)
class Limits:
    """Bounds of one local step.

    Attributes:
        memory: bytes that the runtime may hold for a step's tensors, > 0. The inputs are not counted.
        seconds: time that a step may take, > 0 and finite.

    Raises:
        UsageError: one of them is not as described.
    """

    memory: int = 2**30
    seconds: float = 120.0

    def __post_init__(self) -> None:
        arguments.number("memory", self.memory)
        number = isinstance(self.seconds, Real) and not isinstance(self.seconds, bool)
        if not (number and 0 < self.seconds < math.inf):
            raise UsageError(f"seconds must be above 0 and finite, not {self.seconds!r}")
