"""Opens simulated sums as an unmasker would, who adds noise and leaves flags closed. Nothing is masked here."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from coordinator.aggregation.secure_sum import SecureSum
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.secure import closing, noise
from fedau2.wire.secure.layout import Layout


def drawn(layout: Layout, policy: SecureSums, seed: int, round_number: int) -> NDArray[np.int64]:
    """Draws the noise of a round's sum. Anybody can draw it again from the run's seed, as all that is simulated.

    Args:
        layout: of the task.
        policy: of the task, with noise.
        seed: of the run.
        round_number: the round's.
    """
    key = hashlib.sha256(f"fedau2 simulated noise {seed} {round_number}".encode()).digest()
    return noise.vector(layout, policy, key)


def open_noisy(total: SecureSum, layout: Layout, policy: SecureSums, seed: int, round_number: int) -> None:
    """Adds a round's noise to a whole sum, and closes what noise leaves closed; see `drawn`."""
    masks = (-drawn(layout, policy, seed, round_number)).astype(np.uint32)  # no masks, less the noise
    total.open(masks, closing.nothing(layout))
