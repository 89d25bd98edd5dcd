"""A masked contribution as it travels: the packed masked vector, and then the sealed opening of its mask.

Masking needs `cryptography`; reading what travels does not.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedau2.wire.errors import ContributionError
from fedau2.wire.secure import masks, packing
from fedau2.wire.secure.layout import CANARY, Layout
from fedau2.wire.secure.opening import LARGEST


@dataclass(frozen=True, eq=False)
class Masked:
    """A masked contribution.

    Attributes:
        packed: the masked vector, `modulus_bits` bits a word.
        sealed: the opening, sealed to the key of the round.
    """

    packed: bytes
    sealed: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the packed vector, 32 bytes."""
        return hashlib.sha256(self.packed).digest()

    def canary(self, bits: int) -> bytes:
        """Returns the first four words, packed."""
        return self.packed[: packing.size(len(CANARY), bits)]

    def joined(self) -> bytes:
        """Returns the bytes that are uploaded."""
        return self.packed + self.sealed


def largest(layout: Layout, bits: int) -> int:
    """Returns the most bytes of a masked contribution."""
    return packing.size(layout.size, bits) + LARGEST


def read(data: bytes, layout: Layout, bits: int) -> Masked:
    """Splits the bytes of an upload. Neither part can be checked before the sum is opened.

    Raises:
        ContributionError: they are too few, or the opening is too long.
    """
    size = packing.size(layout.size, bits)
    if not size < len(data) <= size + LARGEST:
        raise ContributionError(
            f"a masked contribution of {len(data)} bytes, where the vector has {size} and its opening 1 to {LARGEST}"
        )
    return Masked(data[:size], data[size:])


def mask(vector: NDArray[np.signedinteger], seed: bytes, context: bytes, bits: int) -> bytes:
    """Adds a mask to a vector, modulo 2^bits, and packs it.

    Args:
        vector: the whole contribution, of shape (n,).
        seed: 32 bytes that are used for this vector alone.
        context: hash of the round's `context.Context`.
        bits: of the modulus.

    Raises:
        ImportError: `cryptography` is not installed.
    """
    # A block of a mask is packed into whole bytes, because it has an even number of words.
    parts, start = [], 0
    for words in masks.blocks(seed, context, vector.size):
        parts.append(packing.pack(vector[start : start + words.size], bits, words))
        start += words.size
    return b"".join(parts)


def sum_of_masks(seeds: Iterable[bytes], context: bytes, count: int) -> NDArray[np.uint32]:
    """Adds the masks of some seeds, modulo 2^32.

    Args:
        seeds: 32 bytes each.
        context: hash of the round's `context.Context`.
        count: words of a mask.

    Raises:
        ImportError: `cryptography` is not installed.
    """
    total = np.zeros(count, np.uint32)
    for seed in seeds:
        start = 0
        for words in masks.blocks(seed, context, count):
            total[start : start + words.size] += words
            start += words.size
    return total
