"""Axes of charts: from values to pixels, with ticks at round numbers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

LARGEST = 1e100
"""Largest absolute value that an axis has room for."""

_MOST = 5
"""Most steps between the ticks of an axis, about."""


@dataclass(frozen=True)
class Axis:
    """An axis from one tick to another.

    Attributes:
        low: value of the first tick.
        step: from tick to tick.
        steps: number of steps, at least 1.
        start, end: pixels of the first and the last tick.
    """

    low: float
    step: float
    steps: int
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float, *, whole: bool = False) -> "Axis":
        """Makes an axis that has room for all values.

        Args:
            values: at most `LARGEST`; none: as if there were 0 alone.
            start: see the class.
            end: see the class.
            whole: the values are whole numbers, and so are the ticks.
        """
        known = list(values) or [0.0]
        low, high = min(known), max(known)
        step = _step((high - low) or abs(high) or 1.0)
        if whole:
            step = max(1.0, step)
        first = math.floor(low / step)
        return cls(first * step, step, max(1, math.ceil(high / step) - first), start, end)

    def at(self, value: float) -> float:
        """Returns the pixel of a value, to a tenth."""
        share = (value - self.low) / (self.step * self.steps)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """The pixel and the label of each tick."""
        values = [self.low + number * self.step for number in range(self.steps + 1)]
        return [(self.at(value), f"{round(value / self.step) * self.step:.6g}") for value in values]


def _step(span: float) -> float:
    """Returns the smallest of 1, 2 and 5 times a power of ten with which about `_MOST` steps make the span."""
    least = max(span, 1 / LARGEST) / _MOST
    unit = 10.0 ** math.floor(math.log10(least))
    return next((factor * unit for factor in (1, 2, 5) if factor * unit >= least), 10 * unit)
