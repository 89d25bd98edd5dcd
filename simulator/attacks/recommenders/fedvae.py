"""Attacks on FedVAE's own tensors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.fedvae_parameters import LATENT
from client_sdk.kernel.training import Task
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import RecommenderAttacks, layer_input, rows_of


def trained_rows(task: Task, contribution: Contribution) -> NDArray[np.int64]:
    """Takes the rows at which the gradient of the items' bias is below 0.

    That gradient is dense, and below 0 at nearly all interactions and nowhere else.
    """
    indices: NDArray[np.int64] = rows_of(contribution, "item_encoder").indices
    return np.asarray(indices[np.asarray(contribution["item_bias"])[indices] < 0])


def pulls(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Takes the gradient of the items' bias: a softmax times the number of interactions, less 1 at each of them."""
    return np.asarray(contribution["item_bias"])


def latent(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Reads the latent from the decoder's first layer, whose only input it is."""
    return layer_input(contribution["decoder.weight"], contribution["decoder.bias"])


def reversed_gradient(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Takes the gradient of the latent's mean, less what comes back from the decoder."""
    decoder = task.shared["decoder.weight"].numpy()
    whole: NDArray[Any] = np.asarray(contribution["latent.bias"])[: decoder.shape[1]]
    return np.asarray(whole - np.asarray(contribution["decoder.bias"]) @ decoder)


ATTACKS = RecommenderAttacks(
    trained_rows=trained_rows,
    pulls=pulls,
    states={LATENT: latent},
    reversed_gradient={LATENT: reversed_gradient},
    lone_rows="item_encoder",
)
