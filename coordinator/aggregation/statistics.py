"""The server's step on the statistics of matchings: moving averages, from which rare classes are held back."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import matchings
from fedau2.wire.blobs import Tensors

_Array = NDArray[np.float64]


def stepped(
    manifest: TaskManifest, checkpoint: Tensors, mean: Mapping[str, _Array], members: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yields the statistics of each matching after a round, by tensor.

    A class that too few users of the round have counts as if nobody had it. So what the next checkpoint publishes of it
    is older, and its share shrinks. The other classes do not show it, because no tensor has a sum over all classes.

    Args:
        manifest: the checked manifest.
        checkpoint: the tensors before.
        mean: the mean of each tensor that contributions carried.
        members: users of the round, or a bound below their number; 0: the policy of secure sums has one.
    """
    for matching in manifest.plan.matchings:
        readers: dict[str, Callable[[_Array], _Array]] = {
            matchings.means(matching.name): partial(
                _held_back, matching.minimum, members or manifest.secure_sums.minimum
            ),
            matchings.moments(matching.name): partial(_absolute, checkpoint[matchings.scale(matching.name)]),
            matchings.scale(matching.name): np.asarray,
        }
        for name, read in readers.items():
            if name in mean:
                moved = checkpoint[name] + matching.rate * (read(mean[name]) - checkpoint[name])
                yield name, moved.astype(np.float32)


def _held_back(minimum: int, members: int, means: _Array) -> _Array:
    """Removes the classes of too few users."""
    # Half a user of room, since shares have been rounded.
    return np.where(means[:, :1] * members >= minimum - 0.5, means, 0.0)


def _absolute(scale: NDArray[np.float32], moments: _Array) -> _Array:
    """Takes moments out of the unit in which the devices of the round have summed them."""
    units = np.append(1.0, np.full(len(moments) - 1, matchings.unit(scale)))
    return np.asarray(moments * units * units[:, None])
