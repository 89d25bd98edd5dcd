"""Writes integers modulo 2^b as bytes: b bits each, one after another, the least significant bit first.

Two integers fill whole bytes for every width that is used, so that they are written in pairs.
"""

import numpy as np
from numpy.typing import NDArray

from fedau2.wire.errors import ContributionError
from fedau2.wire.secure.policy import MODULUS_BITS

BLOCK = 2**14
"""Integers that are written at a time; even, so that a block is whole bytes."""


def size(count: int, bits: int) -> int:
    """Returns the bytes that so many integers take."""
    return (count * bits + 7) // 8


def pack(words: NDArray[np.integer], bits: int) -> bytes:
    """Writes integers, taken modulo 2^bits.

    Args:
        words: of shape (n,); negative ones are taken modulo 2^bits as well.
        bits: 20, 24, 28 or 32.
    """
    return b"".join(_packed(words[start : start + BLOCK], bits) for start in range(0, len(words), BLOCK))


def unpack(data: bytes, count: int, bits: int) -> NDArray[np.uint32]:
    """Reads so many integers; each is below 2^bits.

    Raises:
        ContributionError: the bytes are too few or too many, or the bits after the last integer are not 0.
    """
    if len(data) != size(count, bits):
        raise ContributionError(f"{len(data)} bytes for {count} integers of {bits} bits, not {size(count, bits)}")
    used = count * bits % 8
    if used and data[-1] >> used:
        raise ContributionError("the bits after the last integer are not 0")
    # Both integers of a pair begin within a byte or half a byte, so each is read as 4 bytes from there on.
    padded, stride = data + bytes(4), bits // 4
    out = np.empty(count, np.uint32)
    out[::2] = np.ndarray((count + 1) // 2, "<u4", padded, 0, (stride,))
    out[1::2] = np.ndarray(count // 2, "<u4", padded, bits // 8, (stride,)) >> np.uint32(bits % 8)
    out &= np.uint32(_mask(bits))
    return out


def _packed(words: NDArray[np.integer], bits: int) -> bytes:
    pairs = np.zeros((len(words) + 1) // 2 * 2, np.uint64)
    pairs[: len(words)] = words.astype(np.int64) & _mask(bits)
    joined = (pairs[::2] | pairs[1::2] << np.uint64(bits)).astype("<u8")
    return joined.view(np.uint8).reshape(-1, 8)[:, : bits // 4].tobytes()[: size(len(words), bits)]


def _mask(bits: int) -> int:
    if bits not in MODULUS_BITS:
        raise ValueError(f"integers of {bits} bits are not written; there is {MODULUS_BITS}")
    return (1 << bits) - 1
