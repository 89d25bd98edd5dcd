"""Initial values of tensors, as a manifest declares them."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedau2.v1.tensors_pb2 import DISTRIBUTION_NORMAL, DISTRIBUTION_UNIFORM, TensorSpec


def drawn(spec: TensorSpec, rng: Generator) -> NDArray[np.float32]:
    """Draws the initial values of a tensor."""
    shape, scale = tuple(spec.shape), np.float32(spec.initializer.scale)
    if spec.initializer.distribution == DISTRIBUTION_NORMAL:
        return rng.standard_normal(shape, np.float32) * scale
    if spec.initializer.distribution == DISTRIBUTION_UNIFORM:
        return (rng.random(shape, np.float32) * 2 - 1) * scale
    return np.zeros(shape, np.float32)
