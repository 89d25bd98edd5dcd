"""Turns a device's contribution into bytes, and reads and checks it: folding the result of `Decoder` cannot fail."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import TaskManifest
from fedau2.v1.tensors_pb2 import (
    DTYPE_FLOAT32,
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_PRIVATE,
    TENSOR_SCOPE_SHARED,
    Contribution,
    DType,
    RowSlices,
    TensorSpec,
    TensorUpdate,
)
from fedau2.wire import passes
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


_Buffer = bytes | memoryview
Update = NDArray[np.float32] | Rows
"""The part of one contribution for one tensor: all its elements, or some rows."""


def encode(updates: Mapping[str, Update]) -> bytes:
    """Returns a serialised `Contribution`; equal updates give equal bytes."""
    # Assembled here, because a message would hold every value twice more in a device's memory.
    parts: list[_Buffer] = []
    for name in sorted(updates):
        parts += _field(Contribution.TENSORS_FIELD_NUMBER, _tensor(name, updates[name]))
    return b"".join(parts)


def _tensor(name: str, update: Update) -> list[_Buffer]:
    values = np.ascontiguousarray(update.values if isinstance(update, Rows) else update, "<f4")
    head = TensorUpdate(name=name, dtype=DTYPE_FLOAT32, shape=values.shape).SerializeToString(deterministic=True)
    body = _bytes(values)
    if not isinstance(update, Rows):
        return [head, *_field(TensorUpdate.DENSE_FIELD_NUMBER, [body])]
    fields = {RowSlices.INDICES_FIELD_NUMBER: _bytes(update.indices.astype("<u4")), RowSlices.VALUES_FIELD_NUMBER: body}
    slices = [part for number, content in fields.items() if len(content) for part in _field(number, [content])]
    return [head, *_field(TensorUpdate.ROWS_FIELD_NUMBER, slices)]


def _field(number: int, parts: list[_Buffer]) -> list[_Buffer]:
    """Encodes a field of bytes or of a message as protobuf does: tag, length, content."""
    return [_varint(number << 3 | 2) + _varint(sum(map(len, parts))), *parts]


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(values: NDArray[Any]) -> memoryview:
    return values.reshape(-1).view(np.uint8).data


def clip(updates: Mapping[str, Update], bound: float) -> dict[str, Update]:
    """Returns updates with every value clipped to [-bound, bound]. Values must be finite."""
    limit = np.float32(bound)
    if float(limit) > bound:  # rounded up; NumPy would compare in binary32
        limit = np.nextafter(limit, np.float32(0))
    return {name: _clipped(update, limit) for name, update in updates.items()}


def _clipped(update: Update, bound: np.float32) -> Update:
    if isinstance(update, Rows):
        return Rows(update.indices, _clip(update.values, bound))
    return _clip(update, bound)


def _clip(values: NDArray[np.float32], bound: np.float32) -> NDArray[np.float32]:
    # Almost always all values are within the bound. Then nothing is copied.
    if not values.size or np.abs(values).max() <= bound:
        return values
    return np.clip(values, -bound, bound)


def check_round(task: TaskManifest, updates: Mapping[str, Update], round_number: int) -> None:
    """Checks that whoever made a contribution knows whether its round is a pass.

    Args:
        task: the checked manifest.
        updates: of the contribution, by tensor; their types and shapes have been checked.
        round_number: of the round, as the device was given it.

    Raises:
        ContributionError: it moves the recommender in a pass, or carries none of its tensors in another round.
    """
    if not task.plan.server.passes:
        return
    own = [spec.name for spec in task.tensors if spec.scope == TENSOR_SCOPE_SHARED and spec.name in updates]
    if passes.moves(task.plan.server.passes, round_number):
        if not own:
            raise ContributionError(
                f"round {round_number} moves the recommender, and the contribution has no tensor of it"
            )
        return
    for name in own:
        update = updates[name]
        if (update.values if isinstance(update, Rows) else update).any():
            raise ContributionError(f"round {round_number} is a pass, and {name} is not 0")


def largest(specs: Iterable[TensorSpec]) -> int:
    """Returns an upper bound, in bytes, of a serialised contribution to these tensors."""
    return sum(_OVERHEAD + 4 * int(np.prod(spec.shape)) + 4 * spec.shape[0] for spec in specs)


class Decoder:
    """Reads and checks contributions to the same tensors.

    Args:
        specs: the manifest's tensors by name.
        bound: largest allowed absolute value.
    """

    def __init__(self, specs: Mapping[str, TensorSpec], bound: float) -> None:
        # As plain values, because each access to a message makes new objects, which takes longer than all checks.
        self._expected = {
            name: _Expected(list(spec.shape), spec.dtype, spec.kind == TENSOR_KIND_TABLE)
            for name, spec in specs.items()
            if spec.scope != TENSOR_SCOPE_PRIVATE
        }
        self._bound = bound

    def __call__(self, data: bytes) -> dict[str, Update]:
        """Returns the updates of a serialised `Contribution`.

        Raises:
            ContributionError: the text says which tensor is wrong and how.
        """
        try:
            message = Contribution.FromString(data)
        except DecodeError as error:
            raise ContributionError("not a Contribution message") from error
        bodies = [self._body(tensor) for tensor in message.tensors]
        names = [body.name for body in bodies]
        if not names:
            raise ContributionError("the contribution carries no tensor")
        if names != sorted(set(names)):
            raise ContributionError("tensor names are not sorted and unique")
        return _updates(bodies, self._bound)

    def _body(self, tensor: TensorUpdate) -> "_Body":
        name, dtype, kind = tensor.name, tensor.dtype, tensor.WhichOneof("body")
        expected = self._expected.get(name)
        if expected is None:
            raise ContributionError(f"no tensor {name[:128]!r} is aggregated in this task")
        if dtype != expected.dtype:
            raise ContributionError(f"{name}: dtype {dtype} instead of {DType.Name(expected.dtype)}")
        if kind == "dense":
            shape, indices, values = expected.shape, None, tensor.dense
        elif kind == "rows" and expected.table:
            rows = tensor.rows
            indices, values = _indices(name, rows.indices, expected.shape[0]), rows.values
            shape = [len(indices), *expected.shape[1:]]
        else:
            raise ContributionError(f"{name}: a body of kind {kind} does not fit this tensor")
        if tensor.shape != shape:
            raise ContributionError(f"{name}: shape {tuple(tensor.shape)} instead of {tuple(shape)}")
        if len(values) != 4 * math.prod(shape):
            raise ContributionError(f"{name}: {len(values)} bytes of float32 for shape {tuple(shape)}")
        return _Body(name, shape, indices, values)


class _Expected(NamedTuple):
    """A tensor's shape and dtype; `table` says that a contribution may carry some of its rows only."""

    shape: list[int]
    dtype: DType.ValueType
    table: bool


class _Body(NamedTuple):
    """The content of a tensor's message; everything but the values has been checked."""

    name: str
    shape: list[int]
    indices: NDArray[np.int64] | None
    values: bytes


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
    # One array for all tensors: models have many small ones, for which numpy's cost is per call and not per value.
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
    # If there is a NaN, both extremes are NaN, which fails every comparison.
    return not values.size or bool(-bound <= values.min() and values.max() <= bound)
