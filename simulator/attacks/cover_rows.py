"""Which rows of a contribution are cover, from what a cover row cannot forge.

A row that training gave its item depends on that item's own tensors, and what training adds to dense tensors comes from
such rows alone. Both ways need to know the recommender, and a contribution that is the gradient of one local step.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.wire.contributions import Rows, Update
from simulator.attacks.contract import Contribution

Tell = Callable[[Task, Contribution], NDArray[np.int64]]
"""From a contribution to the catalogue rows of it that training gave, increasing."""

_RESIDUAL = 1e-4
"""Relative size from which on what is left of a row is no rounding."""

_ROUNDING = 2e-6
"""Of a row, relative to its size."""

_AGAIN = 7
"""Samples of one item in a chunk are fewer."""

_RIDGE = 1e-9
"""What keeps least squares solvable where rows are 0, or more than their products have dimensions."""


def fedncf(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """The item half of the first layer's gradient is a sum, over own rows, of outer products that each row determines.

    Each row's part in it is found by least squares: 1 for an own row, 0 for cover.
    """
    rows = rows_of(contribution, "item_mlp")
    values, items = rows.values.astype(np.float64), task.shared["item_mlp"].numpy()[rows.indices].astype(np.float64)
    half = slice(-items.shape[1], None)
    weight = task.shared["mlp.0.weight"].numpy()[:, half].astype(np.float64)
    whole = weight.T @ np.asarray(contribution["mlp.0.weight"])[:, half]
    # Rows differ in size by orders of magnitude; scaled, each counts alike.
    size = np.linalg.norm(values, axis=1) * np.linalg.norm(items, axis=1)
    scale = 1 / np.maximum(size, 1e-30)
    products = (values @ values.T) * (items @ items.T) * scale * scale[:, None]
    wanted = np.einsum("nd,nd->n", values @ whole, items) * scale
    parts = np.linalg.solve(products + _RIDGE * np.eye(len(size)), wanted) * scale
    own: NDArray[np.int64] = rows.indices[parts > 0.5]
    return own


def fedrap(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """An own row is a number times the output's weights, and the penalty: the signs of its item's vector times weights.

    A sample weighs as its chunk's samples do, so that the penalties of own rows are sums of two numbers, that of a full
    chunk and that of the last; those of cover are of any size. Without the penalty every row is of the one direction,
    and nothing is told.
    """
    rows, l1_weight = rows_of(contribution, "item_common"), task.plan.parameters.l1_weight
    weight = task.shared["output.weight"].numpy().astype(np.float64)
    if not l1_weight:
        return rows.indices
    signs = np.sign(task.shared["item_common"].numpy()[rows.indices])
    numbers, penalty = along(rows.values, weight, signs)
    norm, size = np.linalg.norm, np.linalg.norm(rows.values, axis=1)
    left = norm(rows.values - numbers[:, None] * weight - penalty[:, None] * signs, axis=1)
    # How far signs are from the weights' direction decides how well the two are told apart.
    apart = norm(signs - np.outer(signs @ weight / (weight @ weight), weight), axis=1)
    rounding = _ROUNDING * size / np.maximum(apart, 1e-12)
    counts = np.arange(_AGAIN)
    full, last = l1_weight / len(weight) / task.plan.local.chunk, _commonest(penalty, rounding)
    sums = (full * counts[:, None] + last * counts).ravel()[1:]
    near = (np.abs(penalty[:, None] - sums) <= rounding[:, None]).any(1)
    own: NDArray[np.int64] = rows.indices[near & (left <= _RESIDUAL * size)]
    return own


def _commonest(numbers: NDArray[np.floating], rounding: NDArray[np.floating]) -> float:
    """The number near which most of some numbers are."""
    near = np.abs(numbers[:, None] - numbers) <= rounding
    return float(np.median(numbers[near[near.sum(1).argmax()]]))


def fedvae(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """The gradient of the items' bias, which is dense, is below 0 at nearly all interactions and nowhere else."""
    indices: NDArray[np.int64] = rows_of(contribution, "item_encoder").indices
    return np.asarray(indices[np.asarray(contribution["item_bias"])[indices] < 0])


def along(
    values: NDArray[np.float32], weight: NDArray[np.floating], signs: NDArray[np.float32]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Rows (n, w) as numbers times a weight (w,) and numbers times signs (n, w), by least squares; both (n,)."""
    # In closed form for all rows.
    ww, ws, ss = weight @ weight, signs @ weight, (signs**2).sum(1)
    gw, gs = values @ weight, (values * signs).sum(1)
    whole = np.maximum(ww * ss - ws**2, 1e-12)
    return (gw * ss - gs * ws) / whole, (gs * ww - gw * ws) / whole


TELLS: Mapping[str, Tell] = {"fedncf": fedncf, "fedrap": fedrap, "fedvae": fedvae}
"""By recommender."""


def uncovered(task: Task, contribution: Contribution) -> Contribution:
    """A contribution without those rows that are told to be cover; itself where the plan has none."""
    local, tell = task.manifest.plan.local, TELLS.get(task.manifest.model)
    if not local.cover_rows or local.steps > 1 or not tell:
        return contribution
    own = tell(task, contribution)
    return {name: _only(update, own) if name in task.tables else update for name, update in contribution.items()}


def rows_of(contribution: Contribution, name: str) -> Rows:
    """A table's rows, whichever form they have."""
    update = contribution[name]
    return update if isinstance(update, Rows) else Rows(np.arange(len(update)), update)


def _only(update: Update, own: NDArray[np.int64]) -> Update:
    if not isinstance(update, Rows):
        return update
    kept = np.isin(update.indices, own)
    return Rows(update.indices[kept], update.values[kept])
