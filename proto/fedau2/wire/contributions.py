"""A device's contribution to bytes and back. What `decode` returns can be folded without failing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from fedau2.v1.tensors_pb2 import (
    DTYPE_FLOAT32,
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_PRIVATE,
    Contribution,
    DType,
    RowSlices,
    TensorSpec,
    TensorUpdate,
)
from fedau2.wire.errors import ContributionError

_OVERHEAD = 512  # more than the tags, lengths, name (at most 128 bytes) and shape of one TensorUpdate


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a table; every other row counts as 0.

    Attributes:
        indices: strictly increasing row numbers, shape (k,), int64.
        values: shape (k, ...), float32.
    """

    indices: NDArray[np.int64]
    values: NDArray[np.float32]


Update = NDArray[np.float32] | Rows
"""What one contribution says of one tensor: all of it, or some rows."""


def encode(updates: Mapping[str, Update]) -> bytes:
    """The serialised `Contribution`; equal updates give equal bytes."""
    return Contribution(tensors=[_message(name, updates[name]) for name in sorted(updates)]).SerializeToString(
        deterministic=True
    )


def _message(name: str, update: Update) -> TensorUpdate:
    if isinstance(update, Rows):
        values = np.ascontiguousarray(update.values, "<f4")
        rows = RowSlices(indices=update.indices.astype("<u4").tobytes(), values=values.tobytes())
        return TensorUpdate(name=name, dtype=DTYPE_FLOAT32, shape=values.shape, rows=rows)
    values = np.ascontiguousarray(update, "<f4")
    return TensorUpdate(name=name, dtype=DTYPE_FLOAT32, shape=values.shape, dense=values.tobytes())


def clip(updates: Mapping[str, Update], bound: float) -> dict[str, Update]:
    """Updates with every value brought into [-bound, bound]. Values must be finite."""
    limit = np.float32(bound)
    if limit > bound:  # rounded up
        limit = np.nextafter(limit, np.float32(0))
    return {name: _clipped(update, limit) for name, update in updates.items()}


def _clipped(update: Update, bound: np.float32) -> Update:
    if isinstance(update, Rows):
        return Rows(update.indices, _clip(update.values, bound))
    return _clip(update, bound)


def _clip(values: NDArray[np.float32], bound: np.float32) -> NDArray[np.float32]:
    # Almost always everything is within: then nothing is copied.
    if not values.size or np.abs(values).max() <= bound:
        return values
    return np.clip(values, -bound, bound)


def largest(specs: Iterable[TensorSpec]) -> int:
    """Upper bound, in bytes, of a serialised contribution to these tensors."""
    return sum(_OVERHEAD + 4 * int(np.prod(spec.shape)) + 4 * spec.shape[0] for spec in specs)


def decode(data: bytes, specs: Mapping[str, TensorSpec], bound: float) -> dict[str, Update]:
    """Reads and checks a contribution.

    Args:
        data: a serialised `Contribution`.
        specs: the manifest's tensors by name.
        bound: largest allowed absolute value.

    Raises:
        ContributionError: it says which tensor is wrong and how.
    """
    try:
        message = Contribution.FromString(data)
    except DecodeError as error:
        raise ContributionError("not a Contribution message") from error
    names = [tensor.name for tensor in message.tensors]
    if not names:
        raise ContributionError("the contribution carries no tensor")
    if names != sorted(set(names)):
        raise ContributionError("tensor names are not sorted and unique")
    return {tensor.name: _update(tensor, specs, bound) for tensor in message.tensors}


def _update(tensor: TensorUpdate, specs: Mapping[str, TensorSpec], bound: float) -> Update:
    spec = specs.get(tensor.name)
    if spec is None or spec.scope == TENSOR_SCOPE_PRIVATE:
        raise ContributionError(f"no tensor {tensor.name[:128]!r} is aggregated in this task")
    if tensor.dtype != spec.dtype:
        raise ContributionError(f"{tensor.name}: dtype {tensor.dtype} instead of {DType.Name(spec.dtype)}")
    shape = tuple(spec.shape)
    body = tensor.WhichOneof("body")
    if body == "dense":
        _expect_shape(tensor, shape)
        return _values(tensor.name, tensor.dense, shape, bound)
    if body == "rows" and spec.kind == TENSOR_KIND_TABLE:
        return _rows(tensor, shape, bound)
    raise ContributionError(f"{tensor.name}: a body of kind {body} does not fit this tensor")


def _rows(tensor: TensorUpdate, shape: tuple[int, ...], bound: float) -> Rows:
    if len(tensor.rows.indices) % 4:
        raise ContributionError(f"{tensor.name}: row numbers are not uint32")
    indices = np.frombuffer(tensor.rows.indices, "<u4").astype(np.int64)
    if len(indices) and indices.max() >= shape[0]:
        raise ContributionError(f"{tensor.name}: row {indices.max()} of a table with {shape[0]} rows")
    if (np.diff(indices) <= 0).any():
        raise ContributionError(f"{tensor.name}: rows are repeated or not in order")
    shape = (len(indices), *shape[1:])
    _expect_shape(tensor, shape)
    return Rows(indices, _values(tensor.name, tensor.rows.values, shape, bound))


def _expect_shape(tensor: TensorUpdate, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ContributionError(f"{tensor.name}: shape {tuple(tensor.shape)} instead of {shape}")


def _values(name: str, data: bytes, shape: tuple[int, ...], bound: float) -> NDArray[np.float32]:
    if len(data) != 4 * int(np.prod(shape)):
        raise ContributionError(f"{name}: {len(data)} bytes of float32 for shape {shape}")
    values = np.frombuffer(data, "<f4").reshape(shape)
    # One pass: NaN fails every comparison.
    if values.size and not (np.abs(values).max() <= bound):
        raise ContributionError(f"{name}: a value is not finite or beyond +-{bound:g}")
    return values
