"""The tables of NumPy's ziggurat for standard normal binary32 numbers, from their definition.

Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables", 2000, with 256 layers of the same area.
"""

from collections.abc import Mapping
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

TAIL = Decimal("3.6541528853610088")
"""The right end of the lowest layer, from which on the tail begins."""

LAYERS = 256
_STEPS = 2**23  # a number has 23 random bits besides its layer and its sign


def tables() -> Mapping[str, NDArray[np.uint32] | NDArray[np.float32]]:
    """Returns `area` (uint32), `width` and `height` (float32), each with one number for each layer."""
    with localcontext(prec=60):
        area = TAIL * _density(TAIL) + _beyond(TAIL)
        ends = _ends(area)
        bottom = area / _density(TAIL)
        # The lowest layer is a rectangle and the tail, as wide as a rectangle of its area would be.
        widths = [bottom, *ends[1:]]
        inner = [TAIL / bottom, *(ends[layer - 1] / ends[layer] for layer in range(1, LAYERS))]
        return {
            "area": np.array([int((share * _STEPS).to_integral_value()) for share in inner], np.uint32),
            "width": np.array([float(width / _STEPS) for width in widths], np.float32),
            "height": np.array([float(_density(end)) for end in ends], np.float32),
        }


def _ends(area: Decimal) -> list[Decimal]:
    """The right ends of the layers: 0 first, as the top layer has no inner part, and the tail's beginning last."""
    ends = [TAIL]
    for _ in range(LAYERS - 2):
        ends.append((-2 * (area / ends[-1] + _density(ends[-1])).ln()).sqrt())
    return [Decimal(0), *reversed(ends)]


def _density(value: Decimal) -> Decimal:
    return (-value * value / 2).exp()


def _beyond(start: Decimal) -> Decimal:
    """The area under the density beyond `start`, by its continued fraction."""
    fraction = Decimal(0)
    for term in range(400, 0, -1):
        fraction = term / (start + fraction)
    return _density(start) / (start + fraction)
