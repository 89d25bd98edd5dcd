"""Writes integers modulo 2^b as bytes: b bits each, one after another, the least significant bit first.

NumPy's arithmetic is the reference. The native library computes the same bytes (docs/native.md).
"""

import numpy as np
from numpy.typing import NDArray

from fedau2 import native
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure.policy import MODULUS_BITS

BLOCK = 2**14
"""Integers that are written or read at a time; even, because two of them fill whole bytes for every width."""


def size(count: int, bits: int) -> int:
    """Returns the bytes that so many integers take."""
    return (count * bits + 7) // 8


def pack(words: NDArray[np.integer], bits: int, masks: NDArray[np.uint32] | None = None) -> bytes:
    """Writes integers, taken modulo 2^bits.

    Args:
        words: of shape (n,); negative ones are taken modulo 2^bits as well.
        bits: 20, 24, 28 or 32.
        masks: added to the integers, of shape (n,); None: nothing.
    """
    _expect_width(bits)
    if masks is not None and len(masks) != len(words):
        raise ValueError(f"{len(masks)} words of a mask for {len(words)} integers")
    unsigned, out = _unsigned(words), np.empty(size(len(words), bits), np.uint8)
    if library := native.arithmetic():
        library.pack(len(words), bits, unsigned, masks, out)
        return out.tobytes()
    for start in range(0, len(words), BLOCK):
        block = unsigned[start : start + BLOCK]
        if masks is not None:
            block = block + masks[start : start + BLOCK]
        out[size(start, bits) : size(start + len(block), bits)] = _packed(block, bits)
    return out.tobytes()


def unpack(data: bytes, count: int, bits: int) -> NDArray[np.uint32]:
    """Reads so many integers; each is below 2^bits.

    Raises:
        ContributionError: the bytes are too few or too many, or the bits after the last integer are not 0.
    """
    out = np.zeros(count, np.uint32)
    add(out, data, bits)
    return out


def add(total: NDArray[np.uint32], data: bytes, bits: int) -> None:
    """Adds packed integers to a sum, modulo 2^32.

    Args:
        total: of shape (n,); changed in place.
        data: n integers.
        bits: of each.

    Raises:
        ContributionError: see `unpack`. Nothing has been added.
    """
    _combine(total, data, bits, 1)


def subtract(total: NDArray[np.uint32], data: bytes, bits: int) -> None:
    """Takes packed integers off a sum again; see `add`."""
    _combine(total, data, bits, -1)


def _combine(total: NDArray[np.uint32], data: bytes, bits: int, sign: int) -> None:
    _expect_packed(data, len(total), bits)
    if library := native.arithmetic():
        library.unpack(len(total), bits, np.frombuffer(data, np.uint8), sign, total)
        return
    combine = np.add if sign > 0 else np.subtract
    for start in range(0, len(total), BLOCK):
        part = total[start : start + BLOCK]
        combine(part, _unpacked(data[size(start, bits) : size(start + len(part), bits)], len(part), bits), out=part)


def _unsigned(words: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Returns integers modulo 2^32, which every 2^bits divides."""
    if words.dtype in (np.int32, np.uint32) and words.flags.c_contiguous:
        return words.view(np.uint32)
    return words.astype(np.uint32)


def _expect_packed(data: bytes, count: int, bits: int) -> None:
    _expect_width(bits)
    if len(data) != size(count, bits):
        raise ContributionError(f"{len(data)} bytes for {count} integers of {bits} bits, not {size(count, bits)}")
    used = count * bits % 8
    if used and data[-1] >> used:
        raise ContributionError("the bits after the last integer are not 0")


def _packed(words: NDArray[np.uint32], bits: int) -> NDArray[np.uint8]:
    filled, words = size(len(words), bits), np.append(words, np.zeros(len(words) % 2, np.uint32))
    pairs = words.astype("<u4", copy=False).view("<u8")
    pairs = pairs & _low(bits) | pairs >> np.uint64(32 - bits) & _high(bits)
    return np.ndarray(len(pairs), f"V{bits // 4}", pairs, 0, (8,)).copy().view(np.uint8)[:filled]


def _unpacked(data: bytes, count: int, bits: int) -> NDArray[np.uint32]:
    pairs = np.ndarray((count + 1) // 2, "<u8", data + bytes(8), 0, (bits // 4,))
    pairs = pairs & _low(bits) | (pairs & _high(bits)) << np.uint64(32 - bits)
    return pairs.view("<u4")[:count]


def _low(bits: int) -> np.uint64:
    """The bits of the first integer of a pair."""
    return np.uint64(2**bits - 1)


def _high(bits: int) -> np.uint64:
    """The bits of the second integer of a pair as it is packed."""
    return np.uint64((2**bits - 1) << bits)


def _expect_width(bits: int) -> None:
    if bits not in MODULUS_BITS:
        raise ValueError(f"integers of {bits} bits are not written; there is {MODULUS_BITS}")
