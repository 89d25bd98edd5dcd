"""Attacks on FedRAP's own tensors."""

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.fedrap_parameters import SUM
from client_sdk.kernel.training import Task
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import Impossible, RecommenderAttacks, over_items, rows_of

_RESIDUAL = 1e-4
"""Relative size from which on what is left of a row is more than rounding."""

_ROUNDING = 2e-6
"""Rounding of a row, relative to its size."""

_MAX_REPEATS = 7
"""Upper bound on how often one item is among the samples of a chunk."""


def trained_rows(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """Takes the rows whose penalty is one that training gives.

    A trained row is a number times the output's weights, plus the penalty: a number times the signs of the item's
    vector. All samples of a chunk have the same penalty, so that those of trained rows are sums of two numbers, that of
    a full chunk and that of the last. Penalties of cover rows are of any size. Without the penalty all rows have one
    direction, and cover cannot be found.
    """
    rows, l1_weight = rows_of(contribution, "item_common"), task.plan.parameters.l1_weight
    weight = task.shared["output.weight"].numpy().astype(np.float64)
    if not l1_weight:
        return rows.indices
    signs = np.sign(task.shared["item_common"].numpy()[rows.indices])
    numbers, penalty = _along(rows.values, weight, signs)
    norm, size = np.linalg.norm, np.linalg.norm(rows.values, axis=1)
    left = norm(rows.values - numbers[:, None] * weight - penalty[:, None] * signs, axis=1)
    # The further signs are from the weights' direction, the more exact are the two numbers.
    apart = norm(signs - np.outer(signs @ weight / (weight @ weight), weight), axis=1)
    rounding = _ROUNDING * size / np.maximum(apart, 1e-12)
    counts = np.arange(_MAX_REPEATS)
    full, last = l1_weight / len(weight) / task.plan.local.chunk, _commonest(penalty, rounding)
    sums = (full * counts[:, None] + last * counts).ravel()[1:]
    near = (np.abs(penalty[:, None] - sums) <= rounding[:, None]).any(1)
    trained: NDArray[np.int64] = rows.indices[near & (left <= _RESIDUAL * size)]
    return trained


def _commonest(numbers: NDArray[np.floating], rounding: NDArray[np.floating]) -> float:
    """The number near which most of some numbers are."""
    near = np.abs(numbers[:, None] - numbers) <= rounding
    return float(np.median(numbers[near[near.sum(1).argmax()]]))


def pulls(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Takes the number that a row of `item_common` has in the direction of the output's weights."""
    rows, weight = rows_of(contribution, "item_common"), task.shared["output.weight"].numpy()
    signs = np.sign(task.shared["item_common"].numpy()[rows.indices])
    return over_items(task, rows, _along(rows.values, weight, signs)[0])


def _along(
    values: NDArray[np.float32], weight: NDArray[np.floating], signs: NDArray[np.float32]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Rows (n, w) as numbers times a weight (w,) and numbers times signs (n, w), by least squares; both (n,)."""
    # In closed form for all rows.
    ww, ws, ss = weight @ weight, signs @ weight, (signs**2).sum(1)
    gw, gs = values @ weight, (values * signs).sum(1)
    whole = np.maximum(ww * ss - ws**2, 1e-12)
    return (gw * ss - gs * ws) / whole, (gs * ww - gw * ws) / whole


_NOT_UPLOADED = Impossible("no gradient of FedRAP's shared tensors has the personal vectors as a factor")

ATTACKS = RecommenderAttacks(
    trained_rows=trained_rows,
    pulls=pulls,
    states={SUM: _NOT_UPLOADED, "item_personal": _NOT_UPLOADED},
    reversed_gradient=Impossible("FedRAP's reversed gradient changes private tensors only, which are not uploaded"),
    lone_rows=Impossible("all rows of FedRAP's table lie along the output's weights, which are public"),
)
