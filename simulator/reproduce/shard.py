"""A part of a grid, for one job of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Shard:
    """A part of a sweep, for one job of many.

    Attributes:
        number: of the part, from 1.
        of: number of parts.
    """

    number: int
    of: int

    def part(self, things: Sequence[Thing]) -> list[Thing]:
        """Returns the things of this part. The parts of all numbers together are all things, each once."""
        return list(things[self.number - 1 :: self.of])
