"""The server's step on the mean of the contributions (FedOpt, arXiv 2003.00295, algorithm 2).

The mean is treated as a gradient: it is one after one local step, and start minus end after several. Everything is
computed in float64 and stored as float32. Adam is dense: every element of a tensor that contributions carry is stepped,
untouched rows with 0.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation import erasing, restarts, statistics
from fedau2 import native
from fedau2.v1.task_pb2 import OPTIMIZER_KIND_ADAM, Optimizer, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TENSOR_SCOPE_SHARED, TENSOR_SCOPE_STATISTIC
from fedau2.wire import passes
from fedau2.wire.blobs import Tensors
from fedau2.wire.manifest import shared

if TYPE_CHECKING:
    from fedau2_native import Library

_Array = NDArray[np.float64]

NO_NOISE: Mapping[str, float] = {}

FLOOR = 0.25
"""Share of the variance of known noise that corrected second moments have at least."""

BLOCK = 2**16
"""Elements stepped at a time. A small block stays in the processor's cache."""


def server_step(
    manifest: TaskManifest,
    checkpoint: Tensors,
    state: Tensors,
    mean: Mapping[str, _Array],
    variances: Mapping[str, float] = NO_NOISE,
    members: int = 0,
    round_number: int = 0,
) -> tuple[Tensors, Tensors]:
    """Takes one step of the plan's server optimizers, and restarts adversaries. The arguments are not changed.

    In a pass the recommender's tensors keep their values and state, whatever contributions say of them.

    Args:
        manifest: the checked manifest, which says which optimizer steps which tensor.
        checkpoint: the shared and adversary tensors.
        state: the state that the last step returned; empty before the first. Per tensor under Adam: `<name>.first`,
            `<name>.second` (moments, of its shape) and `<name>.steps` (number of its steps, shape (1,)); and the
            averages of an eraser.
        mean: the mean of each tensor that contributions carried; any other tensor keeps its value and state.
        variances: of the known noise on each number of the mean, by tensor; none of a tensor without such noise.
        members: users of the round, see `statistics.stepped`; only plans with matchings or an eraser need them.
        round_number: of the round, as devices are given it; only plans with passes or restarts need it.

    Returns:
        The new checkpoint and the new state.
    """
    checkpoint, state, server = dict(checkpoint), dict(state), manifest.plan.server
    moves = passes.moves(server.passes, round_number)
    for name, spec in shared(manifest).items():
        stays = spec.scope == TENSOR_SCOPE_SHARED and not moves
        if name not in mean or stays or spec.scope == TENSOR_SCOPE_STATISTIC:
            continue
        optimizer = server.adversary if spec.scope == TENSOR_SCOPE_ADVERSARY else server.shared
        corrected = optimizer.noise_corrected or not optimizer.HasField("noise_corrected")
        variance = variances.get(name, 0.0) if corrected else 0.0
        checkpoint[name] = _stepped(optimizer, name, checkpoint[name], state, mean[name], variance)
    checkpoint |= dict(statistics.stepped(manifest, checkpoint, mean, variances, members))
    served, kept = erasing.stepped(manifest, checkpoint, state, mean, variances, members)
    checkpoint, state = checkpoint | served, state | kept
    restarts.restart(manifest, checkpoint, state, round_number)
    return checkpoint, state


def _stepped(
    optimizer: Optimizer, name: str, values: NDArray[np.float32], state: Tensors, gradient: _Array, variance: float
) -> NDArray[np.float32]:
    """Returns a tensor after its step; puts its new state into `state`."""
    adam = _Adam(optimizer, name, state, values.shape, variance) if optimizer.kind == OPTIMIZER_KIND_ADAM else None
    old, flat = np.ascontiguousarray(values).reshape(-1), np.ascontiguousarray(gradient).reshape(-1)
    new = np.empty_like(old)
    if adam and (library := native.arithmetic()):
        adam.step(library, flat, old, new)
        return new.reshape(values.shape)
    for start in range(0, len(old), BLOCK):
        part = slice(start, start + BLOCK)
        update = adam.update(part, flat[part]) if adam else flat[part] * optimizer.learning_rate
        new[part] = np.subtract(old[part], update, dtype=np.float64)
    return new.reshape(values.shape)


class _Adam:
    """One step of Kingma and Ba, arXiv 1412.6980, algorithm 1, on a tensor, part by part or by the native library.

    The variance of known noise is taken off the second moment after its bias is corrected. Otherwise Adam takes noise
    for gradient, and steps less where there is more. At least `FLOOR` of the variance is left, because the moment is an
    estimate and may lie below it.
    """

    def __init__(
        self, optimizer: Optimizer, name: str, state: Tensors, shape: tuple[int, ...], variance: float
    ) -> None:
        self._optimizer, self._variance = optimizer, variance
        steps = 1 + int(state[f"{name}.steps"][0]) if f"{name}.steps" in state else 1
        self._bias2 = 1 - optimizer.beta2**steps
        self._rate = optimizer.learning_rate / (1 - optimizer.beta1**steps)
        keys = f"{name}.first", f"{name}.second"
        self._old = [np.ascontiguousarray(state[key]).reshape(-1) if key in state else None for key in keys]
        fresh = [np.empty(shape, np.float32) for _ in keys]
        self._new = [moment.reshape(-1) for moment in fresh]
        state |= {f"{name}.steps": np.array([steps], np.float32), **dict(zip(keys, fresh, strict=True))}

    def step(
        self, library: "Library", gradient: _Array, values: NDArray[np.float32], stepped: NDArray[np.float32]
    ) -> None:
        """Writes the values after the step, with the bytes that `update` gives."""
        from fedau2_native.structs import ServerAdam

        optimizer = self._optimizer
        arrays = ServerAdam.of(gradient, (values, *self._old), (stepped, *self._new))
        arrays.add1, arrays.add2 = 1 - optimizer.beta1, 1 - optimizer.beta2
        arrays.keep1, arrays.keep2, arrays.bias2 = optimizer.beta1, optimizer.beta2, self._bias2
        arrays.variance, arrays.floor = self._variance, FLOOR * self._variance
        arrays.epsilon, arrays.rate = optimizer.epsilon, self._rate
        library.server_adam(arrays)

    def update(self, part: slice, gradient: _Array) -> _Array:
        """Returns what to subtract from the part, (n,)."""
        optimizer = self._optimizer
        first = self._decayed(0, part, optimizer.beta1, gradient * (1 - optimizer.beta1))
        square = gradient * gradient
        square *= 1 - optimizer.beta2
        second = self._decayed(1, part, optimizer.beta2, square)
        second /= self._bias2
        if self._variance:
            second -= self._variance
            np.maximum(second, FLOOR * self._variance, out=second)
        np.sqrt(second, out=second)
        second += optimizer.epsilon
        first *= self._rate
        first /= second
        return first

    def _decayed(self, moment: int, part: slice, beta: float, fresh: _Array) -> _Array:
        """Adds the decayed moment to `fresh`, and keeps the sum as the new moment."""
        old = self._old[moment]
        if old is not None:
            left = old[part].astype(np.float64)
            left *= beta
            fresh += left
        self._new[moment][part] = fresh
        return fresh
