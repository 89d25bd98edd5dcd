"""The noise on an opened sum: the discrete Gaussian, exactly, from a key. Drawing needs `cryptography`.

Numbers are drawn by rejection, as Canonne, Kamath and Steinke do (arXiv 2004.00010). They propose from a discrete
Laplace distribution. Here the proposal is a staircase that halves every 2^k numbers, because uniform bits give it
without a rejection. Both are exact: no probability is rounded. A float64 decides whether a number is kept only where
that is certain, and integers decide otherwise. So every machine draws the same numbers from a key.
"""

import hashlib
import math
from collections.abc import Iterator
from decimal import MIN_EMIN, Context, Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.secure import masks
from fedau2.wire.secure import policy as policies
from fedau2.wire.secure.layout import Layout

LEAST, MOST = 1.0, 2.0**31
"""Smallest deviation that is drawn, and the bound of the largest, in steps."""

_MARGIN = 2.0**-36
"""Bound of the relative error of a float64 probability. The true error is below 2^-40."""

_STAIRS, _CHANCE = 32, 53  # bits that choose a stair, and bits that decide whether a proposal is kept
_TINY = 1e-300
_ENDLESS = 2**62


def vector(layout: Layout, policy: SecureSums, key: bytes) -> NDArray[np.int64]:
    """Draws the noise of a sum, of shape (layout.size,). Its head is 0.

    Args:
        layout: of the task.
        policy: of the same task, checked, with noise.
        key: 32 secret bytes for this sum alone. The same key gives the same noise.

    Raises:
        ImportError: `cryptography` is not installed.
    """
    gaussian, out = Gaussian(key), np.zeros(layout.size, np.int64)
    for name, deviation in policies.deviations(policy).items():
        place = layout.tensors[name]
        out[place] = gaussian.draw(deviation, place.stop - place.start)
    return out


class Gaussian:
    """Numbers of discrete Gaussian distributions, one after another.

    Args:
        key: see `vector`.
        margin: bound of the relative error of a float64 probability. A larger one leaves more to integers, which takes
            longer and changes no number.
    """

    def __init__(self, key: bytes, margin: float = _MARGIN) -> None:
        self._words, self._spare = (masks.blocks(key, _context(use), _ENDLESS) for use in (b"numbers", b"spare"))
        self._margin = margin

    def draw(self, deviation: float, count: int) -> NDArray[np.int64]:
        """Draws numbers x with probabilities proportional to exp(-x^2 / (2 deviation^2)), of shape (count,).

        Args:
            deviation: at least `LEAST`, and below `MOST`.
            count: of numbers.
        """
        if not LEAST <= deviation < MOST:
            raise ValueError(f"noise is not drawn with a deviation of {deviation} steps")
        parts, missing = [np.zeros(0, np.int64)], count
        while missing > 0:
            parts.append(self._kept(_Staircase(deviation), next(self._words))[:missing])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def _kept(self, staircase: "_Staircase", block: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Returns the numbers that are kept of those that a block of uniform words proposes."""
        first, second = block.view("<u8").reshape(-1, 2).T
        chance = (first >> np.uint64(64 - _CHANCE)).astype(np.float64)
        stair = _ones(second >> np.uint64(64 - _STAIRS))
        step = (second & np.uint64(staircase.width - 1)).astype(np.int64)
        size = stair * staircase.width + step
        bound = staircase.bound(stair, size)
        kept = chance + 1 <= bound * (1 - self._margin)
        undecided = ~kept & (chance < bound * (1 + self._margin) + _TINY) | (stair == _STAIRS)
        for place in np.flatnonzero(undecided).tolist():
            stairs = _continued(int(stair[place]), self._more())
            size[place] = stairs * staircase.width + step[place]
            kept[place] = staircase.keeps(stairs, int(size[place]), int(chance[place]), self._more())
        negative = (first & np.uint64(1)).astype(np.bool_)
        kept &= ~(negative & (size == 0))  # else 0 would come twice as often as it should
        return np.asarray(np.where(negative, -size, size)[kept])

    def _more(self) -> Iterator[int]:
        """Yields further uniform words."""
        while True:
            yield int(next(self._spare)[0])


class _Staircase:
    """The distribution that sizes are proposed from: stairs as wide as a power of two, each half as likely as the last.

    A size x on a stair is kept with probability 2^stair exp(-x^2 / (2 d^2) - d^2 / (4 width^2)). That is at most 1,
    because x >= stair * width, and the sum of the two terms is at least stair / sqrt(2) > stair * ln(2).
    """

    def __init__(self, deviation: float) -> None:
        self.width = 2 ** (math.frexp(deviation)[1] - 1)  # the largest power of two up to the deviation
        square = Fraction(deviation) ** 2
        self._scale, self._offset = 1 / (2 * square), square / (4 * self.width**2)

    def bound(self, stair: NDArray[np.int64], size: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns the probabilities with which sizes are kept, times 2^53, nearly."""
        wide = size.astype(np.float64)
        return np.ldexp(np.exp(-(wide * wide * float(self._scale) + float(self._offset))), stair + _CHANCE)

    def keeps(self, stair: int, size: int, chance: int, more: Iterator[int]) -> bool:
        """Decides exactly whether a size is kept.

        Args:
            stair: of the size.
            size: proposed.
            chance: the first 53 bits of a uniform number below 1, which keeps the size if it is below the probability.
            more: 32 further bits of that number at a time.
        """
        exponent, bits, digits = size * size * self._scale + self._offset, _CHANCE, 40
        while True:
            context = Context(prec=digits, Emin=MIN_EMIN)
            power = context.exp(context.divide(Decimal(-exponent.numerator), Decimal(exponent.denominator)))
            bound = context.multiply(power, Decimal(2 ** (stair + bits)))
            slack = context.multiply(bound, context.scaleb(Decimal(math.ceil(exponent) + 9), 1 - digits))
            if chance + 1 <= context.subtract(bound, slack):
                return True
            if chance >= context.add(bound, slack):
                return False
            chance, bits, digits = chance << 32 | next(more), bits + 32, digits + 20


def _ones(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Counts the ones at the low end of words."""
    first_zero = ~words & (words + np.uint64(1))
    return np.frexp(first_zero.astype(np.float64))[1].astype(np.int64) - 1


def _continued(stair: int, more: Iterator[int]) -> int:
    """Returns the number of a stair, which lies beyond the bits that chose it if these are all ones."""
    ones = 0 if stair < _STAIRS else _STAIRS
    while ones == _STAIRS:
        ones = int(_ones(np.array([next(more)], np.uint64))[0])
        stair += ones
    return stair


def _context(use: bytes) -> bytes:
    return hashlib.sha256(b"fedau2 noise v1\0" + use).digest()
