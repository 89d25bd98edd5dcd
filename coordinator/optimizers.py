"""The server's step on the mean of the contributions (FedOpt, arXiv 2003.00295, algorithm 2).

The mean stands for a gradient: it is one (one local step), or start minus end (several). Everything is computed in
float64 and stored as float32. Adam is dense: every element of a carried tensor is stepped, its untouched rows with 0.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import OPTIMIZER_KIND_ADAM, Optimizer, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY
from fedau2.wire.blobs import Tensors
from fedau2.wire.manifest import shared

_Array = NDArray[np.float64]


def server_step(
    manifest: TaskManifest, checkpoint: Tensors, state: Tensors, mean: Mapping[str, _Array]
) -> tuple[Tensors, Tensors]:
    """One step of the plan's server optimizers. The arguments are left as they are.

    Args:
        manifest: checked; says which optimizer steps which tensor.
        checkpoint: the shared and adversary tensors.
        state: what the last step returned; empty before the first. Per tensor under Adam: `<name>.first`,
            `<name>.second` (moments, of its shape) and `<name>.steps` (how often it was stepped, shape (1,)).
        mean: per tensor that contributions carried, their mean; a tensor that is not here keeps its value and state.

    Returns:
        The new checkpoint and the new state.
    """
    checkpoint, state = dict(checkpoint), dict(state)
    for name, spec in shared(manifest).items():
        if name not in mean:
            continue
        server = manifest.plan.server
        optimizer = server.adversary if spec.scope == TENSOR_SCOPE_ADVERSARY else server.shared
        if optimizer.kind == OPTIMIZER_KIND_ADAM:
            update = _adam(optimizer, name, state, mean[name])
        else:
            update = mean[name] * optimizer.learning_rate
        checkpoint[name] = np.subtract(checkpoint[name], update, dtype=np.float64).astype(np.float32)
    return checkpoint, state


def _adam(optimizer: Optimizer, name: str, state: Tensors, gradient: _Array) -> _Array:
    # Kingma and Ba, arXiv 1412.6980, algorithm 1, in place where that saves a temporary.
    steps = 1 + int(state[f"{name}.steps"][0]) if f"{name}.steps" in state else 1
    first = _decayed(state.get(f"{name}.first"), optimizer.beta1, gradient)
    second = _decayed(state.get(f"{name}.second"), optimizer.beta2, gradient * gradient)
    state[f"{name}.steps"] = np.array([steps], np.float32)
    state[f"{name}.first"] = first.astype(np.float32)
    state[f"{name}.second"] = second.astype(np.float32)
    second /= 1 - optimizer.beta2**steps
    np.sqrt(second, out=second)
    second += optimizer.epsilon
    first *= optimizer.learning_rate / (1 - optimizer.beta1**steps)
    first /= second
    return first


def _decayed(moment: NDArray[np.float32] | None, beta: float, value: _Array) -> _Array:
    fresh = value * (1 - beta)
    if moment is not None:
        fresh += moment.astype(np.float64) * beta
    return fresh
