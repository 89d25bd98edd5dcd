"""Clips, noises and covers a contribution before it leaves the device, whichever engine trained it.

Each of the three is an option of the plan. Random numbers are drawn from the client's secret key, so the coordinator
cannot remove them. docs/threat-model.md says what each option costs and stops.
"""

import hashlib
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.draws import Stream
from fedau2.v1.task_pb2 import Adversary, Plan, TaskManifest
from fedau2.wire import manifest
from fedau2.wire.contributions import Rows, Update

_MIXED = 3
"""Number of rows that are mixed into a cover row. With one, it would be recognised as a multiple of another row."""


def active(plan: Plan) -> bool:
    """Returns True if the plan has one of the three options."""
    return plan.local.cover_rows > 0 or any(adversary.clip_norm > 0 for adversary in plan.adversaries)


def defend(
    task: TaskManifest, contribution: Mapping[str, Update], task_key: bytes, round_number: int, key: bytes = b""
) -> dict[str, Update]:
    """Returns a contribution as it may leave the device.

    Args:
        task: the manifest.
        contribution: as it was trained.
        task_key: the client's 16 secret bytes for the task, see `Store.task_key`. The noise is drawn from it.
        round_number: the assignment's round.
        key: the client's 16 secret bytes, by default those for the task. The cover items are drawn from it.

    Returns:
        The tensors by name. Those of an adversary with a clip norm are scaled down to it and have noise. Tables have
        cover rows. The other tensors are the same arrays.
    """
    if not active(task.plan):
        return dict(contribution)
    out, noise_key = dict(contribution), _noise_key(task, task_key)
    for number, adversary in enumerate(task.plan.adversaries):
        names = sorted(name for name in out if name.startswith(manifest.adversary_prefix(adversary.name)))
        if adversary.clip_norm > 0 and names:
            rng = draws.generator(noise_key, round_number, Stream.GAUSSIAN + number)
            out |= _clipped(adversary, {name: np.asarray(out[name]) for name in names}, rng)
    tables = {name: update for name, update in out.items() if isinstance(update, Rows)}
    if task.plan.local.cover_rows > 0 and tables:
        out |= _covered(task, tables, key or task_key, draws.generator(noise_key, round_number, Stream.COVER_VALUES))
    return out


def _noise_key(task: TaskManifest, task_key: bytes) -> bytes:
    """Derives a key for one manifest, so that noise does not cancel between contributions to two manifests."""
    data = task.SerializeToString(deterministic=True)
    return hashlib.blake2b(data, digest_size=len(task_key), key=task_key).digest()


def _clipped(
    adversary: Adversary, tensors: Mapping[str, NDArray[np.float32]], rng: np.random.Generator
) -> dict[str, Update]:
    """Applies the Gaussian mechanism to an adversary's tensors: L2 norm at most `clip_norm`, noise in units of it."""
    norm = math.sqrt(sum(float(np.square(value, dtype=np.float64).sum()) for value in tensors.values()))
    factor = np.float32(min(1.0, adversary.clip_norm / norm) if norm > 0 else 1.0)
    deviation = np.float32(adversary.noise_multiplier * adversary.clip_norm)
    if not deviation:
        return {name: value * factor for name, value in tensors.items()}
    return {
        name: np.asarray(value * factor + deviation * rng.standard_normal(value.shape, np.float32))
        for name, value in tensors.items()
    }


def _covered(task: TaskManifest, tables: Mapping[str, Rows], key: bytes, rng: np.random.Generator) -> dict[str, Update]:
    """Adds rows of items to the tables that the local step did not touch.

    A client has the same cover items in every round and task, because recorded items recur too. Fresh ones would be
    recognised by not recurring. A cover row is a sum of some of the client's rows with normal factors. It differs from
    them all, has their size, and is 0 on average.
    """
    touched = np.unique(np.concatenate([rows.indices for rows in tables.values()]))
    order = draws.generator(key, 0, Stream.COVER).permutation(task.items)
    others = order[~np.isin(order, touched)]
    cover = others[: min(len(others), round(task.plan.local.cover_rows * len(touched)))]
    mixed = rng.random((_MIXED, len(cover)))
    factors = rng.standard_normal((_MIXED, len(cover)), np.float32) / np.float32(math.sqrt(_MIXED))
    return {name: _with(rows, cover, mixed, factors) for name, rows in tables.items()}


def _with(rows: Rows, cover: NDArray[np.int64], mixed: NDArray[np.float64], factors: NDArray[np.float32]) -> Rows:
    """Merges rows with cover rows made of them; `mixed` chooses the rows, as fractions of their number."""
    chosen = rows.values[(mixed * len(rows.indices)).astype(np.int64)]
    # Term by term, because a matrix product may add in another order on another machine.
    made = sum(part * factor.reshape(-1, *[1] * (part.ndim - 1)) for part, factor in zip(chosen, factors, strict=True))
    values = np.concatenate([rows.values, np.asarray(made, np.float32)])
    indices = np.concatenate([rows.indices, cover])
    order = np.argsort(indices)
    return Rows(indices[order], np.ascontiguousarray(values[order], np.float32))
