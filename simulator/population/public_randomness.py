"""Random numbers that need not be secret: anybody can draw them again from a run's seed (design section 6)."""

import hashlib

import numpy as np
from numpy.random import Generator, Philox


def generator(purpose: str, seed: int, round_number: int = 0, stream: int = 0) -> Generator:
    """Makes the generator of a stream in a round; each pair of purpose and seed has its own key."""
    key = hashlib.sha256(f"fedau2 {purpose} {seed}".encode()).digest()[:16]
    return Generator(Philox(key=np.frombuffer(key, "<u8"), counter=[0, 0, round_number, stream]))
