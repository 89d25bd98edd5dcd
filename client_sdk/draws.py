"""Draws a client's random numbers from Philox streams of its secret key (design section 6).

The counter is (0, 0, round, stream). The key is 128 secret bits that never leave the device, so the server cannot
recompute a client's noise or negatives.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from client_sdk.errors import NoDataError, UnsupportedTaskError
from client_sdk.plan import AdversaryPlan, LocalPlan, TrainingPlan
from fedau2.v1.task_pb2 import (
    DRAW_CONTRASTS,
    DRAW_WHOLE,
    HEAD_DSVAE,
    HEAD_SCALAR,
)
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2.wire.initial import drawn as drawn_initially


class Stream(IntEnum):
    """The purpose of a stream's numbers."""

    INITIAL = 0
    SAMPLES = 1
    NOISE = 2
    LATENT = 3
    COVER = 4
    COVER_VALUES = 5
    GAUSSIAN = 6  # for the first adversary; the 15 that may follow have the next numbers
    FLOOR = 22
    FOLD = 23
    PERSONAL = 64  # added to the number of a stream: the one of the same purpose for personal steps


@dataclass(frozen=True, eq=False)
class Samples:
    """Training samples of one client and one local step; positives and their negatives follow each other.

    Attributes:
        items: catalogue rows, int64 (n,).
        labels: 1 for a positive, 0 for a negative, float32 (n,).
        weights: 1 / size of the sample's chunk, float32 (n,), so that the weighted sum of losses is the sum of chunk
            means. A recommender with another way to draw gives them its own meaning. A plan's weights of interactions
            change labels or weights afterwards, see `client_sdk.weights.weighed`.
        noise: numbers of noise that the recommender itself adds, float32 (w,); empty for most recommenders.
    """

    items: NDArray[np.int64]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32]
    noise: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def part(self, start: int, end: int) -> "Samples":
        """The samples from `start` to before `end`, with the same noise."""
        if start == 0 and end >= len(self.items):
            return self
        return Samples(self.items[start:end], self.labels[start:end], self.weights[start:end], self.noise)


class _Key(ISeedSequence):
    """A key in the form that seeds a bit generator.

    The argument `key` of `Philox` gives the same numbers, but asks the system for entropy first, which costs more than
    everything else.
    """

    def __init__(self, key: bytes) -> None:
        self._words = np.frombuffer(key, "<u8")

    def generate_state(self, n_words: int, dtype: object = np.uint32) -> NDArray[np.uint64]:
        """Returns the key's two words, for which Philox asks."""
        if (n_words, dtype) != (2, np.uint64):
            raise ValueError(f"a key is 2 words of 64 bits, not {n_words} of {dtype}")
        return self._words


def generator(key: bytes, round_number: int, stream: int) -> Generator:
    """Returns the generator of one stream of one round: a `Stream` or one that follows it. `key` has 16 bytes."""
    # numpy's types take SeedSequence only, and its documentation any ISeedSequence.
    return Generator(Philox(_Key(key), counter=[0, 0, round_number, stream]))  # type: ignore[arg-type]


def initial(specs: Iterable[TensorSpec], key: bytes) -> dict[str, NDArray[np.float32]]:
    """Draws the initial values of tensors, in their order, from one stream of the key."""
    rng = generator(key, 0, Stream.INITIAL)
    return {spec.name: drawn_initially(spec, rng) for spec in specs}


def contrasts(
    plan: TrainingPlan[Any], interactions: NDArray[np.int64], key: bytes, round_number: int, *, family: int = 0
) -> list[Samples]:
    """Draws `samples` from the round's own stream: the `draw` of recommenders with positives and negatives."""
    return samples(interactions, plan.items, plan.local, generator(key, round_number, family + Stream.SAMPLES))


def whole(
    local: LocalPlan,
    interactions: NDArray[np.int64],
    key: bytes,
    round_number: int,
    *,
    dropout: float,
    noise: int,
    family: int = 0,
) -> list[Samples]:
    """Takes all interactions in each step: the `draw` of recommenders that read a user as a whole.

    The weights drop some interactions and make the rest of length 1.

    Args:
        local: the plan's local update.
        interactions: catalogue rows, sorted and unique.
        key: the client's 16 secret bytes.
        round_number: the assignment's round.
        dropout: share of the interactions that each step drops, in [0, 1).
        noise: number of standard normal numbers that the recommender itself adds in each step.
        family: as in `drawn`.

    Raises:
        NoDataError: there are no interactions.
    """
    if len(interactions) == 0:
        raise NoDataError("nothing is recorded to train on: call record() first")
    count = len(interactions)
    dropping, rng = (generator(key, round_number, family + stream) for stream in (Stream.SAMPLES, Stream.LATENT))
    steps = []
    for _ in range(local.steps):
        seen = dropping.random(count, np.float32) >= np.float32(dropout)
        weights = seen.astype(np.float32) / np.float32((1 - dropout) * math.sqrt(count))
        steps.append(Samples(interactions, np.ones(count, np.float32), weights, rng.standard_normal(noise, np.float32)))
    return steps


def drawn(
    plan: TrainingPlan[Mapping[str, float]],
    interactions: NDArray[np.int64],
    key: bytes,
    round_number: int,
    *,
    family: int = 0,
) -> list[Samples]:
    """Draws as the recommender's own `draw` does, from the manifest's description: for devices without the kernel.

    Args:
        plan: the task's.
        interactions: catalogue rows, sorted and unique.
        key: the client's 16 secret bytes.
        round_number: the assignment's; of personal steps, the number of the step.
        family: 0 for contributions, `Stream.PERSONAL` for personal steps: their streams have no number in common.

    Raises:
        NoDataError: there is nothing to train on.
        UnsupportedTaskError: the manifest names no way to draw that this SDK knows, or drops a share of the
            interactions that is not in [0, 1).
    """
    if plan.draw == DRAW_CONTRASTS:
        return contrasts(plan, interactions, key, round_number, family=family)
    if plan.draw == DRAW_WHOLE:
        dropout = plan.parameters.get("dropout", 0.0)
        if not 0 <= dropout < 1:
            raise UnsupportedTaskError(f"the plan's parameter 'dropout' must lie in [0, 1), not {dropout}")
        return whole(plan.local, interactions, key, round_number, dropout=dropout, noise=plan.noise, family=family)
    raise UnsupportedTaskError("this SDK cannot draw the task's samples: its recommender draws in a way of its own")


def samples(interactions: NDArray[np.int64], items: int, local: LocalPlan, rng: Generator) -> list[Samples]:
    """Draws one pass over the interactions in random order, divided into `local.steps` steps.

    Each positive is followed by `local.negatives` negatives, drawn uniformly with replacement from the items that are
    not among the interactions. Nothing is rejected: the k-th item outside is found by counting.

    Args:
        interactions: the client's catalogue rows, sorted and unique, (k,).
        items: length of the catalogue.
        local: the plan's local update.
        rng: the round's stream.

    Raises:
        NoDataError: there are no interactions, or no items outside them.
    """
    count = len(interactions)
    if count == 0:
        raise NoDataError("nothing is recorded to train on: call record() first")
    if count >= items:
        raise NoDataError("every item of the catalogue is recorded, so there is nothing to contrast them with")
    positives = interactions[rng.permutation(count)]
    ranks = rng.integers(0, items - count, (count, local.negatives))
    # interactions[j] - j items outside lie before the j-th interaction.
    negatives = ranks + np.searchsorted(interactions - np.arange(count), ranks, side="right")
    rows = np.concatenate([positives[:, None], negatives], axis=1)
    parts = [rows] if local.steps == 1 else np.array_split(rows, local.steps)
    return [_samples(part, local.chunk) for part in parts]


def _samples(rows: NDArray[np.int64], chunk: int) -> Samples:
    labels = np.zeros(rows.shape, np.float32)
    labels[:, 0] = 1
    weights = np.full(rows.size, 1 / chunk, np.float32)
    if rest := rows.size % chunk:
        weights[-rest:] = 1 / rest
    return Samples(rows.ravel(), labels.ravel(), weights)


def noise(adversaries: Iterable[AdversaryPlan], steps: int, rng: Generator) -> dict[str, NDArray[np.float32]]:
    """Draws the heads' noise (n1, n2) per adversary: float32 (steps, 2, classes), with n1 = 1 for `mlp` and `vae`."""
    return {adversary.name: _noise(adversary, steps, rng) for adversary in adversaries}


def head_variance(adversary: AdversaryPlan) -> float:
    """Returns the variance of n1, which multiplies the logits' mean: lambda of `dsvae` and `scalar`, else 0."""
    return adversary.variance if adversary.head in (HEAD_DSVAE, HEAD_SCALAR) else 0.0


def _noise(adversary: AdversaryPlan, steps: int, rng: Generator) -> NDArray[np.float32]:
    return head_noise(adversary, rng.standard_normal((steps, 2, adversary.classes), np.float32))


def head_noise(adversary: AdversaryPlan, normals: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turns standard normal numbers, (..., 2, classes), into a head's noise (n1, n2), in place."""
    normals[..., 0, :] = 1 + np.float32(np.sqrt(head_variance(adversary))) * normals[..., 0, :]
    return normals
