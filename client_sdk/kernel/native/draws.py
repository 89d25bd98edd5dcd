"""Draws of many clients by the library, number for number those of `client_sdk.draws`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.draws import Stream
from client_sdk.errors import NoDataError
from client_sdk.kernel.native.cohorts import Drawn, ends
from client_sdk.plan import AdversaryPlan, TrainingPlan
from fedau2_native import Library

Weights = Sequence[NDArray[np.float32] | None] | None
"""Weights of each client's interactions, where the plan has some."""


def contrasts(
    library: Library,
    plan: TrainingPlan[Any],
    keys: Sequence[bytes],
    round_number: int,
    interactions: Sequence[NDArray[np.int64]],
    weights: Weights,
) -> Drawn:
    """Draws `client_sdk.draws.contrasts` of each client.

    Raises:
        NoDataError: a client has no interactions, or no items outside them.
    """
    lengths, local = _lengths(interactions), plan.local
    if lengths.max() >= plan.items:
        raise NoDataError("every item of the catalogue is recorded, so there is nothing to contrast them with")
    starts, line = ends(lengths), 1 + local.negatives
    size = int(starts[-1]) * line
    items, labels, importance = np.empty(size, np.int64), np.empty(size, np.float32), np.empty(size, np.float32)
    library.contrasts(
        len(keys), b"".join(keys), round_number, Stream.SAMPLES, plan.items, local.steps, local.negatives, local.chunk,
        starts, np.concatenate(interactions), _joined(weights), items, labels, importance,
    )  # fmt: skip
    least, longer = np.divmod(lengths[:, None], local.steps)
    lines = least + (np.arange(local.steps) < longer)
    noise = np.zeros((len(keys), local.steps, 0), np.float32)
    return Drawn(ends(line * lines.ravel()), local.steps, items, labels, importance, noise)


def whole(
    library: Library,
    plan: TrainingPlan[Any],
    keys: Sequence[bytes],
    round_number: int,
    interactions: Sequence[NDArray[np.int64]],
    weights: Weights,
) -> Drawn:
    """Draws `client_sdk.draws.whole` of each client; the plan's parameters are FedVAE's.

    Raises:
        NoDataError: a client has no interactions.
    """
    lengths, steps, latent = _lengths(interactions), plan.local.steps, plan.shapes["decoder.weight"][1]
    joined, dropout = b"".join(keys), plan.parameters.dropout
    uniforms = np.empty(int(lengths.sum()) * steps, np.float32)
    library.uniforms(len(keys), joined, round_number, Stream.SAMPLES, lengths * steps, uniforms)
    noise = np.empty((len(keys), steps, latent), np.float32)
    library.normals(len(keys), joined, round_number, Stream.LATENT, steps * latent, noise)
    size = np.array([np.float32((1 - dropout) * math.sqrt(length)) for length in lengths.tolist()])
    seen = (uniforms >= np.float32(dropout)).astype(np.float32) / np.repeat(size, lengths * steps)
    rows = [np.tile(of_client, steps) for of_client in interactions] if steps > 1 else interactions
    importance = _joined(weights if weights is None or steps == 1 else [_tiled(each, steps) for each in weights])
    labels = np.ones(len(seen), np.float32) if importance is None else importance
    return Drawn(ends(np.repeat(lengths, steps)), steps, np.concatenate(rows), labels, seen, noise)


def noise(
    library: Library, adversaries: Sequence[AdversaryPlan], steps: int, keys: Sequence[bytes], round_number: int
) -> Mapping[str, NDArray[np.float32]]:
    """Draws `client_sdk.draws.noise` of each client: by adversary, (B, steps, 2, classes)."""
    if not adversaries:
        return {}
    sizes = [steps * 2 * adversary.classes for adversary in adversaries]
    normals = np.empty((len(keys), sum(sizes)), np.float32)
    library.normals(len(keys), b"".join(keys), round_number, Stream.NOISE, normals.shape[1], normals)
    return {
        adversary.name: draws.head_noise(adversary, part.reshape(len(keys), steps, 2, adversary.classes))
        for adversary, part in zip(adversaries, np.split(normals, np.cumsum(sizes)[:-1], 1), strict=True)
    }


def _lengths(interactions: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    lengths = np.array([len(rows) for rows in interactions], np.int64)
    if not lengths.all():
        raise NoDataError("nothing is recorded to train on: call record() first")
    return lengths


def _joined(weights: Weights) -> NDArray[np.float32] | None:
    known = [of_client for of_client in weights or () if of_client is not None]
    if not known:
        return None
    if weights is None or len(known) < len(weights):
        raise ValueError("either all clients have weights of their interactions, or none has")
    return np.concatenate(known)


def _tiled(weights: NDArray[np.float32] | None, steps: int) -> NDArray[np.float32] | None:
    return None if weights is None else np.tile(weights, steps)
