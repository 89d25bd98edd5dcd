"""Attacks on FedNCF's own tensors."""

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2 import principal
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import Impossible, RecommenderAttacks, layer_input, over_items, rows_of

_RIDGE = 1e-9
"""Keeps least squares solvable where rows are 0, or more than their products have dimensions."""


def trained_rows(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """Takes the rows that the item half of the first layer's gradient is made of.

    That half is a sum, over trained rows, of outer products that each row determines. Least squares gives each row's
    part in it: 1 for a trained row, 0 for cover.
    """
    rows = rows_of(contribution, "item_mlp")
    values, items = rows.values.astype(np.float64), task.shared["item_mlp"].numpy()[rows.indices].astype(np.float64)
    half = slice(-items.shape[1], None)
    weight = task.shared["mlp.0.weight"].numpy()[:, half].astype(np.float64)
    whole = weight.T @ np.asarray(contribution["mlp.0.weight"])[:, half]
    # Rows differ in size by orders of magnitude; scaled, all of them count alike.
    size = np.linalg.norm(values, axis=1) * np.linalg.norm(items, axis=1)
    scale = 1 / np.maximum(size, 1e-30)
    products = (values @ values.T) * (items @ items.T) * scale * scale[:, None]
    target = np.einsum("nd,nd->n", values @ whole, items) * scale
    parts = np.linalg.solve(products + _RIDGE * np.eye(len(size)), target) * scale
    trained: NDArray[np.int64] = rows.indices[parts > 0.5]
    return trained


def pulls(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Places the rows of `item_gmf` on the line on which they lie.

    The sum of their places has the sign of the output bias's gradient, which says which way along the line is down.
    """
    rows = rows_of(contribution, "item_gmf")
    _, vectors = principal.axes(rows.values.T.astype(np.float64) @ rows.values)
    places = rows.values @ vectors[:, -1].astype(np.float32)
    forward = np.sign(places.sum()) * np.sign(np.asarray(contribution["output.bias"])[0])
    return over_items(task, rows, places * (forward or 1))


def user_gmf(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the user's vector from the rows of `item_gmf`.

    A row is a number times the user's vector times the output's weights. The numbers of all rows add up to the gradient
    of the output's bias, which gives the scale.
    """
    total = rows_of(contribution, "item_gmf").values.sum(0, dtype=np.float64)
    weight = task.shared["output.weight"].numpy()[: len(total)]
    by = float(np.asarray(contribution["output.bias"])[0]) * weight.astype(np.float64)
    vector: NDArray[np.float64] = np.divide(total, by, out=np.zeros_like(total), where=by != 0)
    return vector.astype(np.float32)


def user_mlp(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the user's vector from the user's half of the first layer, whose only input it is."""
    width = task.shared["mlp.0.weight"].shape[1] - task.shared["item_mlp"].shape[1]
    return layer_input(np.asarray(contribution["mlp.0.weight"])[:, :width], contribution["mlp.0.bias"])


ATTACKS = RecommenderAttacks(
    trained_rows=trained_rows,
    pulls=pulls,
    states={"user_gmf": user_gmf, "user_mlp": user_mlp},
    reversed_gradient=Impossible("FedNCF's reversed gradient changes private tensors only, which are not uploaded"),
    lone_rows="item_gmf",
)
