"""The private tensors' Adam in NumPy, for devices without PyTorch; the same as `client_sdk.kernel.adam`.

Kingma and Ba, 2015, algorithm 1.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client_sdk.protocol.values import Columns, PrivateState

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def step(state: PrivateState, gradients: Mapping[str, NDArray[np.float32]], learning_rate: float) -> PrivateState:
    """Returns the state of one client after a step; the arguments are not changed.

    Args:
        state: one client's.
        gradients: by name, (1, ...).
        learning_rate: > 0.
    """
    taken = int(state.steps[0]) + 1
    rate = learning_rate / (1 - BETA1**taken)
    root = np.sqrt(1 - BETA2**taken)
    out: tuple[Columns, Columns, Columns] = ({}, {}, {})
    for name, gradient in gradients.items():
        first = (gradient - state.first[name]) * np.float32(1 - BETA1)
        first += state.first[name]
        second = state.second[name] * np.float32(BETA2)
        second += gradient * gradient * np.float32(1 - BETA2)
        # rate * first / (sqrt(second) / root + EPSILON), with as few arrays as possible.
        change = np.sqrt(second)
        change *= np.float32(1 / (rate * root))
        change += np.float32(EPSILON / rate)
        np.divide(first, change, out=change)
        out[0][name] = np.subtract(state.values[name], change, out=change)
        out[1][name], out[2][name] = first, second
    return PrivateState(*out, state.steps + 1)
