"""The server's step on the statistics of matchings: moving averages, from which rare classes are held back."""

from collections.abc import Iterator, Mapping

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
        for name in (matchings.means(matching.name), matchings.moments(matching.name)):
            if name not in mean:
                continue
            values = mean[name]
            if name == matchings.means(matching.name):
                users = values[:, :1] * (members or manifest.secure_sums.minimum)
                # Half a user of room, since shares have been rounded.
                values = np.where(users >= matching.minimum - 0.5, values, 0.0)
            moved = checkpoint[name] + matching.rate * (values - checkpoint[name])
            yield name, moved.astype(np.float32)
