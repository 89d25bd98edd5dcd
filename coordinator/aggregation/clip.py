"""The norm to which a round's longer contributions are scaled down, fixed by the plan or by a running median too."""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import numpy as np

from coordinator.aggregation.fold import BLOCK
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Rows, Update

MEDIANS = "norm_medians"
"""Name of the rounds' medians in the server's state. No tensor of an optimizer has it, because those have a dot."""

ROUNDS = 9
"""Newest rounds whose medians the running median is of: five of them would have to be of liars."""

LEAST = 5
"""Fewest rounds whose medians bound contributions. With fewer, the liars of one round could choose the bound."""

_NO_STATE: Tensors = {}


def kept(state: Tensors) -> Tensors:
    """Returns the part of the server's state that a `Clip` needs."""
    return {name: state[name] for name in (MEDIANS,) if name in state}


class Clip:
    """Scales the contributions of a round down, and keeps the median of their norms for the next rounds.

    The median of a round is that of the norms before anything is scaled down. So any order and any shards of the
    contributions give the same bytes, and a bound that is too low does not stay so by itself. Norms of 0 are left out:
    devices without anything to train on, and liars, would bring the bound down to 0.

    Args:
        clip_norm: the largest norm; 0: contributions are never scaled down.
        medians: the bound is also this many running medians, where `LEAST` rounds are known; 0: no median is kept.
        state: the server's state before the round.

    Attributes:
        bound: norm to which a longer contribution of this round is scaled down; infinity: none is.
    """

    def __init__(self, clip_norm: float, medians: float = 0.0, state: Tensors = _NO_STATE) -> None:
        self._keeps = medians > 0
        self._before = state.get(MEDIANS, np.empty(0, np.float32))
        self._norms = array("d")
        self.bound = clip_norm or math.inf
        if self._keeps and len(self._before) >= LEAST:
            self.bound = min(self.bound, medians * float(np.median(self._before.astype(np.float64))))

    def measured(self, contribution: Mapping[str, Update]) -> float:
        """Returns the norm of a contribution if it is needed; 0 otherwise."""
        return norm(contribution) if self._keeps or math.isfinite(self.bound) else 0.0

    def factor(self, length: float) -> float:
        """Returns the number from 0 to 1 that a contribution of this norm is multiplied by."""
        return self.bound / length if length > self.bound else 1.0

    def count(self, lengths: Iterable[float]) -> None:
        """Counts the norms of contributions that were added."""
        if self._keeps:
            self._norms.extend(length for length in lengths if length)

    def merge(self, other: "Clip") -> None:
        """Counts the contributions of a shard."""
        self.count(other._norms)

    def remembered(self) -> Tensors:
        """Returns what the server's state keeps for later rounds: the medians of the newest rounds, (n,)."""
        if not self._norms:
            return {}
        return {MEDIANS: np.append(self._before, np.float32(np.median(self._norms)))[-ROUNDS:]}

    def reset(self) -> None:
        """Starts the same round again with nothing counted."""
        del self._norms[:]


def norm(contribution: Mapping[str, Update]) -> float:
    """Computes the L2 norm of a contribution over all its tensors together.

    Squares are summed in float64: along each row of the first axis in numpy's order, then exactly over the rows of all
    tensors. So the order of the tensors does not change a bit, and neither do rows of zeros, sent or left out.
    """
    squares = (block for update in contribution.values() for block in _squares(update))
    return math.sqrt(math.fsum(chain.from_iterable(squares)))


def _squares(update: Update) -> Iterator[list[float]]:
    """Yields the sums of squares of the rows, some rows at a time."""
    values = update.values if isinstance(update, Rows) else update
    rows = values.reshape(len(values), math.prod(values.shape[1:]))
    step = max(1, BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        # One memory layout, and no BLAS: its order of addition may depend on its number of threads.
        block = rows[start : start + step].astype(np.float64, order="C")
        yield np.einsum("ij,ij->i", block, block).tolist()
