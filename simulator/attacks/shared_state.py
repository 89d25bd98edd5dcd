"""Reads the protected state from the recommender's own tensors, which no noise on an adversary's touches."""

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import Adversary
from simulator.attacks.contract import Seen
from simulator.attacks.cover_rows import uncovered
from simulator.attacks.recommenders.contract import Impossible, ReadState
from simulator.attacks.recommenders.registry import attacks_on


def read(seen: Seen, adversary: Adversary) -> NDArray[np.float32]:
    """The state that an adversary protects, of the clients of a round, (n, width).

    Raises:
        ValueError: a part of the state cannot be read; see `impossible`.
    """
    readers = [_reader(seen.task.manifest.model, state) for state in adversary.protects]
    contributions = (uncovered(seen.task, contribution) for contribution in seen.contributions())
    states = ([reader(seen.task, contribution) for reader in readers] for contribution in contributions)
    return np.stack([np.concatenate(parts) for parts in states])


def impossible(model: str, adversary: Adversary) -> str:
    """Says why the state that an adversary protects cannot be read; empty where it can."""
    states = attacks_on(model).states
    reasons = [reader.reason for name in adversary.protects if isinstance(reader := states[name], Impossible)]
    return reasons[0] if reasons else ""


def _reader(model: str, state: str) -> ReadState:
    reader = attacks_on(model).states[state]
    if isinstance(reader, Impossible):
        raise ValueError(f"the state {state!r} of {model} cannot be read: {reader.reason}")
    return reader
