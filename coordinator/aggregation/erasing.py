"""The server's step on the sums of an eraser: moving averages, to which maps are fitted that devices apply.

The averages are a part of the server's state, which is never served. Only the maps are served.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation.eraser_sums import Sums
from fedau2.v1.task_pb2 import Eraser, TaskManifest
from fedau2.wire import erasers, matchings
from fedau2.wire.blobs import Tensors

_Array = NDArray[np.float64]

ROOM = 0.5
"""Users by which a count may lie below the minimum, since counts have been rounded."""

_BLUR = 3.0
"""Deviations of known noise within which nobody can tell a count from 0."""

_WEIGHT = "eraser.weight"
"""Name in the server's state of (2,): the sum of the rounds' shares in the averages, and the sum of their squares."""

_AVERAGED = (erasers.LINEAR, erasers.CLASSES, erasers.STEPS, erasers.PAIRS)


def kept(state: Tensors) -> Tensors:
    """Returns the part of the server's state that belongs to the eraser."""
    return {name: state[name] for name in (_WEIGHT, *_AVERAGED) if name in state}


def _averaged(manifest: TaskManifest) -> list[str]:
    return [name for name in erasers.tensors(manifest.plan) if name in _AVERAGED]


def stepped(
    manifest: TaskManifest,
    checkpoint: Tensors,
    state: Tensors,
    mean: Mapping[str, _Array],
    variances: Mapping[str, float],
    members: int,
) -> tuple[Tensors, Tensors]:
    """Returns what is served of the eraser after a round, and the server's state of it.

    A class is rare if fewer users of the round than `Eraser.minimum` have it, and at least one. A round with a rare
    class changes nothing but the size of states, because a reader would subtract the other classes from sums over all.

    Maps that are served stay as they are while the averages are worth too few users for others. A bundle carries the
    maps of its ancestor, and not the averages.

    Args:
        manifest: the checked manifest.
        checkpoint: the tensors before.
        state: the server's state before.
        mean: the mean of each tensor that contributions carried.
        variances: of the known noise on each number of the mean, by tensor; none of a tensor without such noise.
        members: users of the round, or a bound below their number; 0: the policy of secure sums has one.

    Returns:
        Tensors of the checkpoint and of the state that take the places of those before; both are empty without an
        eraser.
    """
    if not manifest.plan.HasField("eraser") or erasers.SCALE not in mean:
        return {}, {}
    eraser, members = manifest.plan.eraser, members or manifest.secure_sums.minimum
    served = {erasers.SCALE: _moved(checkpoint[erasers.SCALE], mean[erasers.SCALE], eraser.rate)}
    unit = matchings.unit(checkpoint[erasers.SCALE])
    complete = all(name in mean for name in _averaged(manifest))
    if not unit or not complete or _has_rare_class(eraser, mean[erasers.CLASSES], variances, members):
        return served, {}
    after: Tensors = {}
    for name in _averaged(manifest):
        before = state.get(name, np.zeros(mean[name].shape, np.float32))
        after[name] = _moved(before, _absolute(name, mean[name], unit), eraser.rate)
    decay, share = 1 - eraser.rate, eraser.rate
    weight = state.get(_WEIGHT, np.zeros(2, np.float32)) * np.array([decay, decay**2]) + np.array([share, share**2])
    after[_WEIGHT] = weight.astype(np.float32)
    sums = Sums.of(eraser, erasers.widths(manifest), after, after[_WEIGHT], members)
    return (served if sums.few and _moves(checkpoint) else served | sums.maps(eraser)), after


def lacking(manifest: TaskManifest, checkpoint: Tensors) -> bool:
    """Returns True if a plan has an eraser, and by a model's maps devices erase nothing."""
    return manifest.plan.HasField("eraser") and not _moves(checkpoint)


def _moves(checkpoint: Tensors) -> bool:
    matrix = checkpoint[erasers.LINEAR][1:, 1:]
    still = not matrix.any() or np.array_equal(matrix, np.eye(len(matrix)))
    return not still or bool(checkpoint[erasers.STEPS].any() or checkpoint[erasers.CLASSES].any())


def _has_rare_class(eraser: Eraser, classes: _Array, variances: Mapping[str, float], members: int) -> bool:
    users = classes[:, 0].reshape(erasers.FOLDS, -1).sum(0) * members
    blur = _BLUR * members * math.sqrt(erasers.FOLDS * variances.get(erasers.CLASSES, 0.0))
    return bool(((users < eraser.minimum - ROOM) & (np.abs(users) > blur)).any())


def _moved(old: NDArray[np.float32], values: _Array, rate: float) -> NDArray[np.float32]:
    return (old + rate * (values - old)).astype(np.float32)


def _absolute(name: str, values: _Array, unit: float) -> _Array:
    """Takes sums out of the unit in which the devices of the round have added states up."""
    if name in (erasers.STEPS, erasers.PAIRS):
        return values
    units = np.append(1.0, np.full(values.shape[1] - 1, unit))
    return np.asarray(values * units if name == erasers.CLASSES else values * units * units[:, None])
