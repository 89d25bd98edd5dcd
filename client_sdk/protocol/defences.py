"""What a device does to a contribution before it leaves, whatever trained it: clipping, noise and cover rows.

Each is an option of the plan. All that is random is drawn from the client's secret key, so the coordinator cannot take
it off again. What each costs and stops: docs/threat-model.md.
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
"""Rows of which a cover row is made. One would be told by being a multiple of another row."""


def active(plan: Plan) -> bool:
    """Whether `defend` changes anything."""
    return plan.local.cover_rows > 0 or any(each.clip_norm > 0 for each in plan.adversaries)


def defend(
    task: TaskManifest, contribution: Mapping[str, Update], key: bytes, round_number: int, salt: bytes = b""
) -> dict[str, Update]:
    """A contribution as it may leave the device.

    Args:
        task: the manifest.
        contribution: as it was trained.
        key: the client's 16 secret bytes.
        round_number: the assignment's.
        salt: the task's, see `Store.salt`.

    Returns:
        Of each adversary with a clip norm the tensors scaled down to it, with noise; of tables cover rows too. What the
        plan does not name is the same array.
    """
    if not active(task.plan):
        return dict(contribution)
    out, own = dict(contribution), _key_of(task, key, salt)
    for number, each in enumerate(task.plan.adversaries):
        names = sorted(name for name in out if name.startswith(manifest.adversary_prefix(each.name)))
        if each.clip_norm > 0 and names:
            rng = draws.generator(own, round_number, Stream.GAUSSIAN + number)
            out |= _clipped(each, {name: np.asarray(out[name]) for name in names}, rng)
    tables = {name: update for name, update in out.items() if isinstance(update, Rows)}
    if task.plan.local.cover_rows > 0 and tables:
        out |= _covered(task, tables, key, draws.generator(own, round_number, Stream.COVER_VALUES))
    return out


def _key_of(task: TaskManifest, key: bytes, salt: bytes) -> bytes:
    """A key of the client's for one task: the difference of two tasks' contributions must not be without noise."""
    data = task.SerializeToString(deterministic=True)
    return hashlib.blake2b(data, digest_size=len(key), key=key, salt=salt).digest()


def _clipped(
    each: Adversary, tensors: Mapping[str, NDArray[np.float32]], rng: np.random.Generator
) -> dict[str, Update]:
    """The Gaussian mechanism on an adversary's tensors together: L2 norm at most `clip_norm`, noise in units of it."""
    norm = math.sqrt(sum(float(np.square(value, dtype=np.float64).sum()) for value in tensors.values()))
    factor = np.float32(min(1.0, each.clip_norm / norm) if norm > 0 else 1.0)
    deviation = np.float32(each.noise_multiplier * each.clip_norm)
    if not deviation:
        return {name: value * factor for name, value in tensors.items()}
    return {
        name: np.asarray(value * factor + deviation * rng.standard_normal(value.shape, np.float32))
        for name, value in tensors.items()
    }


def _covered(task: TaskManifest, tables: Mapping[str, Rows], key: bytes, rng: np.random.Generator) -> dict[str, Update]:
    """Tables with rows of items that the step did not touch.

    The items are a client's own and come again in every round and task, as recorded ones do: fresh ones would be told
    from them by not coming again. A cover row is a sum of some of the client's rows with normal factors: it is none of
    theirs, has their size, and on average adds nothing.
    """
    own = np.unique(np.concatenate([rows.indices for rows in tables.values()]))
    order = draws.generator(key, 0, Stream.COVER).permutation(task.items)
    others = order[~np.isin(order, own)]
    cover = others[: min(len(others), round(task.plan.local.cover_rows * len(own)))]
    mixed = rng.random((_MIXED, len(cover)))
    factors = rng.standard_normal((_MIXED, len(cover)), np.float32) / np.float32(math.sqrt(_MIXED))
    return {name: _with(rows, cover, mixed, factors) for name, rows in tables.items()}


def _with(rows: Rows, cover: NDArray[np.int64], mixed: NDArray[np.float64], factors: NDArray[np.float32]) -> Rows:
    """The rows and, between them, cover rows made of them; `mixed` says of which, from 0 to 1 in their order."""
    chosen = rows.values[(mixed * len(rows.indices)).astype(np.int64)]
    # Term by term: a matrix product may add up in another order elsewhere.
    made = sum(part * factor.reshape(-1, *[1] * (part.ndim - 1)) for part, factor in zip(chosen, factors, strict=True))
    values = np.concatenate([rows.values, np.asarray(made, np.float32)])
    indices = np.concatenate([rows.indices, cover])
    order = np.argsort(indices)
    return Rows(indices[order], np.ascontiguousarray(values[order], np.float32))
