"""Content-addressed blobs: hashes, chunks and checkpoints."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import Resource
from fedau2.wire.errors import BlobError

CHUNK = 256 * 1024
"""Bytes of one streamed chunk; well under gRPC's default message limit of 4 MiB."""

Tensors = dict[str, NDArray[np.float32]]


def sha256(data: bytes) -> bytes:
    """Returns the SHA-256 of data, 32 bytes."""
    return hashlib.sha256(data).digest()


def resource(data: bytes) -> Resource:
    """Returns the address of data."""
    return Resource(sha256=sha256(data), size=len(data))


def chunks(data: bytes, offset: int = 0) -> Iterator[bytes]:
    """Yields data from an offset on, in chunks of at most `CHUNK` bytes."""
    for start in range(offset, len(data), CHUNK):
        yield data[start : start + CHUNK]


def check(data: bytes, expected: Resource) -> bytes:
    """Returns data if `expected` addresses it.

    Raises:
        BlobError: the size or the hash differs.
    """
    if len(data) != expected.size:
        raise BlobError(f"blob {expected.sha256.hex()[:12]} has {len(data)} bytes instead of {expected.size}")
    if (actual := sha256(data)) != expected.sha256:
        raise BlobError(
            f"blob {expected.sha256.hex()[:12]} is damaged: its SHA-256 is {actual.hex()[:12]}; fetch it again"
        )
    return data


class Assembler:
    """Puts a streamed blob together and never holds more than was declared.

    Args:
        expected: the address of the blob.
        data: the first bytes of the blob, if some have come already.

    Attributes:
        expected: as above.
    """

    def __init__(self, expected: Resource, data: bytes = b"") -> None:
        self.expected = expected
        self._data: bytes | bytearray = data

    @property
    def size(self) -> int:
        """Number of bytes that have come."""
        return len(self._data)

    @property
    def whole(self) -> bool:
        """True if all declared bytes have come."""
        return self.size == self.expected.size

    def add(self, data: bytes) -> None:
        """Appends the next bytes.

        Raises:
            BlobError: more bytes than declared.
        """
        if len(self._data) + len(data) > self.expected.size:
            raise BlobError(f"more bytes than the declared {self.expected.size}")
        if not self._data:
            self._data = data  # a blob of one piece is never copied
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += data

    def finish(self) -> bytes:
        """Returns the whole blob.

        Raises:
            BlobError: it is not the blob that was declared.
        """
        return check(bytes(self._data), self.expected)


def pack(tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Returns tensors as safetensors; equal tensors give equal bytes, whatever the mapping's order."""
    return safetensors.numpy.save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})


def unpack(data: bytes) -> Tensors:
    """Returns the tensors in a safetensors blob, as writable copies.

    Raises:
        BlobError: not safetensors.
    """
    try:
        return safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise BlobError(f"not a readable safetensors file: {error}") from error


def catalogue(data: bytes) -> list[str]:
    """Returns the item ids of a catalogue blob, in row order.

    Raises:
        BlobError: not UTF-8, an empty or repeated id.
    """
    try:
        items = data.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise BlobError(f"the item catalogue is not UTF-8: {error}") from error
    if "" in items:
        raise BlobError(f"line {items.index('') + 1} of the item catalogue is empty")
    seen = set[str]()
    for item in items:
        if item in seen:
            raise BlobError(f"the item catalogue lists {item!r} twice")
        seen.add(item)
    return items
