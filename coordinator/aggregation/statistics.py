"""The server's step on the statistics of matchings: moving averages, from which rare classes are held back."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import Matching, TaskManifest
from fedau2.wire import matchings
from fedau2.wire.blobs import Tensors

_Array = NDArray[np.float64]

_ROOM = 0.5
"""Users by which a count may lie below the minimum, since shares have been rounded."""

_BLUR = 3.0
"""Deviations of known noise within which nobody can tell a count from 0."""


def stepped(
    manifest: TaskManifest,
    checkpoint: Tensors,
    mean: Mapping[str, _Array],
    variances: Mapping[str, float],
    members: int,
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yields the statistics of each matching after a round, by tensor.

    A class is rare if fewer users of the round than `Matching.minimum` have it, and at least one. It counts as if
    nobody had it, so what the next checkpoint publishes of it is older, and its share shrinks. From a sum over all
    classes a reader would subtract the classes that are not rare. Such sums are the moments, and the rows of another
    matching of the same states. So the round changes neither of them.

    The floor counts what devices claim. A device that lies can lift a class above it.

    Args:
        manifest: the checked manifest.
        checkpoint: the tensors before.
        mean: the mean of each tensor that contributions carried.
        variances: of the known noise on each number of the mean, by tensor; none of a tensor without such noise.
        members: users of the round, or a bound below their number; 0: the policy of secure sums has one.
    """
    members = members or manifest.secure_sums.minimum
    rare = [matching for matching in manifest.plan.matchings if _has_rare_class(matching, mean, variances, members)]
    for matching in manifest.plan.matchings:
        near = [other.name for other in rare if set(other.protects) & set(matching.protects)]
        means, moments = matchings.means(matching.name), matchings.moments(matching.name)
        scale = matchings.scale(matching.name)
        if means in mean and near in ([], [matching.name]):
            values = np.where(_users(mean[means], members) >= matching.minimum - _ROOM, mean[means], 0.0)
            yield means, _moved(checkpoint[means], values, matching.rate)
        if moments in mean and not near:
            yield moments, _moved(checkpoint[moments], _absolute(checkpoint[scale], mean[moments]), matching.rate)
        if scale in mean:  # no class has such a sum of its own, so nothing can be subtracted from this one
            yield scale, _moved(checkpoint[scale], mean[scale], matching.rate)


def _has_rare_class(
    matching: Matching, mean: Mapping[str, _Array], variances: Mapping[str, float], members: int
) -> bool:
    """Returns whether a matching has a rare class; True if nobody says how many users its classes have."""
    means = matchings.means(matching.name)
    if means not in mean:
        return True
    users = _users(mean[means], members)
    blur = _BLUR * members * math.sqrt(variances.get(means, 0.0))
    return bool(((users < matching.minimum - _ROOM) & (np.abs(users) > blur)).any())


def _users(means: _Array, members: int) -> _Array:
    """Returns the users of each class, (classes + 1, 1)."""
    return means[:, :1] * members


def _moved(old: NDArray[np.float32], values: _Array, rate: float) -> NDArray[np.float32]:
    return (old + rate * (values - old)).astype(np.float32)


def _absolute(scale: NDArray[np.float32], moments: _Array) -> _Array:
    """Takes moments out of the unit in which the devices of the round have summed them."""
    units = np.append(1.0, np.full(len(moments) - 1, matchings.unit(scale)))
    return np.asarray(moments * units * units[:, None])
