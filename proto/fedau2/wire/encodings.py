"""Encodings of checkpoints: float32 as the server keeps them, and smaller ones that devices may fetch in its place.

An encoded checkpoint is a safetensors blob that says by its types how it is read. Tensors with one axis, and those
whose rows have fewer than `SHORT` numbers, stay float32 in every encoding. Statistics do too, see `exact`.

* float16: each number is rounded to the nearest float16.
* int8: the numbers of a row are whole multiples, from -127 to 127, of the row's scale. The scales of a tensor are one
  more tensor, float32, named by `scales`.

Equal tensors give equal bytes on every machine: the arithmetic is IEEE's, one operation at a time.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.device_pb2 import Assignment, ModelVersion
from fedau2.v1.task_pb2 import (
    CHECKPOINT_ENCODING_FLOAT16,
    CHECKPOINT_ENCODING_INT8,
    CHECKPOINT_ENCODING_UNSPECIFIED,
    CheckpointEncoding,
    Resource,
    TaskManifest,
)
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_STATISTIC
from fedau2.wire import blobs
from fedau2.wire.blobs import Tensors
from fedau2.wire.errors import BlobError

NAMES: Mapping[str, CheckpointEncoding.ValueType] = {
    "float32": CHECKPOINT_ENCODING_UNSPECIFIED,
    "float16": CHECKPOINT_ENCODING_FLOAT16,
    "int8": CHECKPOINT_ENCODING_INT8,
}
"""The encodings by the names that people use."""

SHORT = 8
"""Rows with fewer numbers are not encoded, because a scale would take as many bytes as it saves."""

_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
_LARGEST_INT8 = 127
_LARGEST_SCALE = np.nextafter(np.finfo(np.float32).max / np.float32(_LARGEST_INT8), np.float32(0))
"""127 times this is still finite."""


def scales(name: str) -> str:
    """Returns the name of the tensor that holds the scales of another."""
    return f"{name}:scale"


def exact(manifest: TaskManifest) -> frozenset[str]:
    """Returns the names of the tensors that are never rounded: the statistics of erasers and matchings.

    Their rows mix numbers of different units. A deviation would be rounded to 0 beside the entries of a map.
    """
    return frozenset(spec.name for spec in manifest.tensors if spec.scope == TENSOR_SCOPE_STATISTIC)


def encode(
    tensors: Mapping[str, NDArray[np.float32]],
    encoding: CheckpointEncoding.ValueType,
    exact: Collection[str] = (),
) -> bytes:
    """Returns an encoded checkpoint.

    Args:
        tensors: the checkpoint's tensors, with finite values.
        encoding: one of `NAMES`.
        exact: names of tensors that stay float32, see `exact`.
    """
    encoded: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        short = tensor.ndim < 2 or tensor[0].size < SHORT
        if encoding == CHECKPOINT_ENCODING_UNSPECIFIED or short or name in exact:
            encoded[name] = tensor
        elif encoding == CHECKPOINT_ENCODING_FLOAT16:
            encoded[name] = np.clip(tensor, -_LARGEST_FLOAT16, _LARGEST_FLOAT16).astype(np.float16)
        else:
            encoded[name], encoded[scales(name)] = _int8(tensor)
    return blobs.pack(encoded)


def decode(data: bytes) -> Tensors:
    """Returns the tensors of a checkpoint in any encoding, as float32. They have at most four times the blob's bytes.

    Raises:
        BlobError: it is not a checkpoint in an encoding that is known.
    """
    stored: dict[str, NDArray[Any]] = dict(blobs.unpack(data))
    for name in [name for name, tensor in stored.items() if tensor.dtype == np.int8]:
        tensor, scale = stored[name], stored.pop(scales(name), None)
        if scale is None or scale.dtype != np.float32 or tensor.ndim < 2 or scale.shape != tensor.shape[:1]:
            raise BlobError(f"the checkpoint has no scales for the rows of {name[:128]!r}")
        with np.errstate(over="ignore", invalid="ignore"):  # scales that nobody encoded; the result is checked
            stored[name] = tensor.astype(np.float32) * _column(scale, tensor.ndim)
    return {
        name: tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor for name, tensor in stored.items()
    }


def offered(message: Assignment | ModelVersion) -> Resource:
    """Returns the checkpoint of a message that a device fetches: the encoded one, if its encoding is known here."""
    known = message.encoded.encoding in NAMES.values()
    return message.encoded.resource if message.HasField("encoded") and known else message.checkpoint


def _int8(tensor: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Returns the multiples of each row's scale, of the tensor's shape, and the scales, (rows,)."""
    largest = np.abs(tensor).reshape(len(tensor), -1).max(1)
    scale = np.minimum(largest / np.float32(_LARGEST_INT8), _LARGEST_SCALE)
    divisor = _column(np.where(scale > 0, scale, np.float32(1)), tensor.ndim)
    multiples = np.rint(np.clip(tensor / divisor, -_LARGEST_INT8, _LARGEST_INT8))
    return multiples.astype(np.int8), scale


def _column(scale: NDArray[np.float32], axes: int) -> NDArray[np.float32]:
    return scale.reshape(-1, *[1] * (axes - 1))
