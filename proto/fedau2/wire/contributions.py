"""A device's contribution to bytes and back. What `decode` returns can be folded without failing."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    tensors = list(message.tensors)  # each look into the message makes its objects anew
    names = [tensor.name for tensor in tensors]
    if not names:
        raise ContributionError("the contribution carries no tensor")
    if names != sorted(set(names)):
        raise ContributionError("tensor names are not sorted and unique")
    return _updates([_body(tensor, specs) for tensor in tensors], bound)


class _Body(NamedTuple):
    """What a tensor's message says, checked but for the values."""

    name: str
    shape: tuple[int, ...]
    indices: NDArray[np.int64] | None
    values: bytes


def _body(tensor: TensorUpdate, specs: Mapping[str, TensorSpec]) -> _Body:
    spec = specs.get(tensor.name)
    if spec is None or spec.scope == TENSOR_SCOPE_PRIVATE:
        raise ContributionError(f"no tensor {tensor.name[:128]!r} is aggregated in this task")
    if tensor.dtype != spec.dtype:
        raise ContributionError(f"{tensor.name}: dtype {tensor.dtype} instead of {DType.Name(spec.dtype)}")
    kind = tensor.WhichOneof("body")
    if kind == "dense":
        body = _Body(tensor.name, tuple(spec.shape), None, tensor.dense)
    elif kind == "rows" and spec.kind == TENSOR_KIND_TABLE:
        rows = tensor.rows
        indices = _indices(tensor.name, rows.indices, spec.shape[0])
        body = _Body(tensor.name, (len(indices), *spec.shape[1:]), indices, rows.values)
    else:
        raise ContributionError(f"{tensor.name}: a body of kind {kind} does not fit this tensor")
    if tuple(tensor.shape) != body.shape:
        raise ContributionError(f"{tensor.name}: shape {tuple(tensor.shape)} instead of {body.shape}")
    if len(body.values) != 4 * math.prod(body.shape):
        raise ContributionError(f"{tensor.name}: {len(body.values)} bytes of float32 for shape {body.shape}")
    return body


def _indices(name: str, data: bytes, rows: int) -> NDArray[np.int64]:
    if len(data) % 4:
        raise ContributionError(f"{name}: row numbers are not uint32")
    indices = np.frombuffer(data, "<u4")
    if not (indices[1:] > indices[:-1]).all():
        raise ContributionError(f"{name}: rows are repeated or not in order")
    if indices.size and indices[-1] >= rows:
        raise ContributionError(f"{name}: row {indices[-1]} of a table with {rows} rows")
    return indices.astype(np.int64)


def _updates(bodies: Sequence[_Body], bound: float) -> dict[str, Update]:
    # One array for all: models have many small tensors, for which numpy's cost is by the call and not by the value.
    values = np.frombuffer(b"".join([body.values for body in bodies]), "<f4")
    updates: dict[str, Update] = {}
    start = 0
    for body in bodies:
        part = values[start : start + len(body.values) // 4].reshape(body.shape)
        updates[body.name] = part if body.indices is None else Rows(body.indices, part)
        start += part.size
    if not _within(values, bound):
        name = next(body.name for body in bodies if not _within(np.frombuffer(body.values, "<f4"), bound))
        raise ContributionError(f"{name}: a value is not finite or beyond +-{bound:g}")
    return updates


def _within(values: NDArray[np.float32], bound: float) -> bool:
    # NaN is in both extremes, and fails every comparison.
    return not values.size or bool(-bound <= values.min() and values.max() <= bound)
