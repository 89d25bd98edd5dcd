"""The integers of a mask: a keystream of AES-256 in counter mode, from a seed that is used once.

Needs `cryptography`, which is imported when a mask is made.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SEED = 32
"""Bytes of a seed, drawn from the operating system for one contribution and never used again."""

BLOCK = 2**14
"""Words that are made at a time: 64 KiB. With larger blocks allocation takes most of the time."""


def key(seed: bytes, context: bytes) -> bytes:
    """Derives the key of a mask, 32 bytes.

    Args:
        seed: 32 bytes.
        context: hash of the round's `context.Context`, 32 bytes.

    Raises:
        ImportError: `cryptography` is not installed.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(seed) != SEED or len(context) != 32:
        raise ValueError("a seed and a context have 32 bytes each")
    return HKDF(SHA256(), 32, context, b"fedau2 mask v1").derive(seed)


def blocks(seed: bytes, context: bytes, count: int) -> Iterator[NDArray[np.uint32]]:
    """Yields the first words of a mask, a block at a time, each word uniform below 2^32.

    A block is valid until the next one is asked for.

    Args:
        seed: see `key`.
        context: see `key`.
        count: number of words.

    Raises:
        ImportError: `cryptography` is not installed.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    stream = Cipher(algorithms.AES(key(seed, context)), modes.CTR(bytes(16))).encryptor()
    zeros = bytes(4 * BLOCK)
    into = bytearray(len(zeros) + 15)  # room that update_into asks for
    for start in range(0, count, BLOCK):
        number = min(BLOCK, count - start)
        stream.update_into(zeros[: 4 * number], into)
        yield np.frombuffer(into, "<u4", number)


def words(seed: bytes, context: bytes, count: int) -> NDArray[np.uint32]:
    """Returns the first words of a mask, (count,).

    Raises:
        ImportError: `cryptography` is not installed.
    """
    return np.concatenate([np.zeros(0, np.uint32), *(block.copy() for block in blocks(seed, context, count))])
