"""Shorthand for the tensors that recommenders and adversaries declare."""

from collections.abc import Sequence

from fedau2.v1.tensors_pb2 import (
    DISTRIBUTION_NORMAL,
    DISTRIBUTION_UNIFORM,
    DISTRIBUTION_ZEROS,
    DTYPE_FLOAT32,
    TENSOR_KIND_DENSE,
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_PRIVATE,
    TENSOR_SCOPE_SHARED,
    Initializer,
    ItemSpan,
    TensorScope,
    TensorSpec,
)

ZEROS = Initializer(distribution=DISTRIBUTION_ZEROS)


def normal(deviation: float) -> Initializer:
    """N(0, deviation^2)."""
    return Initializer(distribution=DISTRIBUTION_NORMAL, scale=deviation)


def uniform(bound: float) -> Initializer:
    """Uniform on [-bound, bound)."""
    return Initializer(distribution=DISTRIBUTION_UNIFORM, scale=bound)


def dense(
    name: str, shape: Sequence[int], initializer: Initializer, scope: TensorScope.ValueType = TENSOR_SCOPE_SHARED
) -> TensorSpec:
    """A tensor whose gradient is dense."""
    return TensorSpec(
        name=name, shape=shape, dtype=DTYPE_FLOAT32, kind=TENSOR_KIND_DENSE, scope=scope, initializer=initializer
    )


def table(name: str, shape: Sequence[int], initializer: Initializer) -> TensorSpec:
    """A shared tensor with a row for each item; a client touches few of them."""
    spec = dense(name, shape, initializer)
    spec.kind = TENSOR_KIND_TABLE
    return spec


def along_items(spec: TensorSpec, spans: Sequence[ItemSpan] = (), axis: int = 0) -> TensorSpec:
    """Declares that items lie along an axis of a tensor, one number each or by spans, and returns the tensor."""
    spec.item_axis = axis + 1
    spec.item_spans.extend(spans)
    return spec


def private(name: str, shape: Sequence[int], initializer: Initializer) -> TensorSpec:
    """A tensor that stays on the device."""
    return dense(name, shape, initializer, TENSOR_SCOPE_PRIVATE)
