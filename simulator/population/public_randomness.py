"""Public randomness: what everybody may know and draw again from the seed of a run (design section 6)."""

import hashlib

import numpy as np
from numpy.random import Generator, Philox


def generator(purpose: str, seed: int, round_number: int = 0, stream: int = 0) -> Generator:
    """The generator of one stream of one round; each purpose and seed has a key of its own."""
    key = hashlib.sha256(f"fedau2 {purpose} {seed}".encode()).digest()[:16]
    return Generator(Philox(key=np.frombuffer(key, "<u8"), counter=[0, 0, round_number, stream]))
