"""Attacks on the tensors of `biased`: a contribution gives everything away. An audit makes them."""

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import Impossible, RecommenderAttacks, over_items, rows_of

_NEAR = 1e-3


def trained_rows(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """Takes the rows that are the same vector for each unit of bias; covering rows are unlike all others."""
    units = _units(contribution)
    distance = np.linalg.norm(units[:, None] - units, axis=2)
    alike = distance <= _NEAR * np.linalg.norm(units, axis=1)
    indices: NDArray[np.int64] = rows_of(contribution, "item_factors").indices[alike.sum(1) > 1]
    return indices


def pulls(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Takes the gradients of the biases, which are below 0 for recorded items alone."""
    rows = rows_of(contribution, "item_bias")
    return over_items(task, rows, rows.values[:, 0])


def user_factors(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Divides a row by its bias's gradient."""
    return np.median(_units(contribution), axis=0).astype(np.float32)


def _units(contribution: Contribution) -> NDArray[np.float64]:
    factors, bias = (rows_of(contribution, name).values.astype(np.float64) for name in ("item_factors", "item_bias"))
    return factors / np.where(bias == 0, 1.0, bias)


ATTACKS = RecommenderAttacks(
    trained_rows=trained_rows,
    pulls=pulls,
    states={"user_factors": user_factors},
    reversed_gradient=Impossible("the reversed gradient changes private tensors only, which are not uploaded"),
    lone_rows="item_factors",
)
