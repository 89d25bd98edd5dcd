"""Attacks on FedGNN's own tensors. Its contributions are those of layers with one sample, so all of it is read."""

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.fedgnn_parameters import NODE
from client_sdk.kernel.training import Task
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import RecommenderAttacks, layer_input, rows_of

_TABLE = "item_message"


def trained_rows(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """Takes the rows at which the gradient of the items' bias is below 0: nearly all interactions, and nothing else."""
    indices: NDArray[np.int64] = rows_of(contribution, _TABLE).indices
    return np.asarray(indices[pulls(task, contribution)[indices] < 0])


def pulls(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Takes the gradient of the items' bias: a softmax times the number of interactions, less 1 at each of them."""
    return np.asarray(contribution["item_bias"])


def node(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the user's node, which is the only input of the layer that recommends."""
    return layer_input(contribution["item_vector"], contribution["item_bias"])


def vector(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the private vector: the node without the message, which the rows of the messages and public tensors give.

    A row is the gradient of the message's bias times the item's share in the message.
    """
    rows, bias = rows_of(contribution, _TABLE), np.asarray(contribution["message.bias"], np.float64)
    square = bias @ bias
    shares = rows.values @ bias / square if square else np.zeros(len(rows.indices))
    sums = shares @ task.shared[_TABLE].numpy()[rows.indices]
    message = np.tanh(sums + task.shared["message.bias"].numpy())
    return np.asarray(node(task, contribution) - message, np.float32)


def reversed_gradient(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Takes the gradient of the node, which that of the message's bias gives, less what comes back from the items."""
    message = node(task, contribution) - vector(task, contribution)
    whole = np.asarray(contribution["message.bias"]) / (1 - message * message)
    return np.asarray(whole - pulls(task, contribution) @ task.shared["item_vector"].numpy())


ATTACKS = RecommenderAttacks(
    trained_rows=trained_rows,
    pulls=pulls,
    states={NODE: node, "user_vector": vector},
    reversed_gradient={NODE: reversed_gradient},
    lone_rows=_TABLE,
)
