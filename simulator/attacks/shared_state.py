"""The protected state from the recommender's own tensors, which no noise on an adversary's touches."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk.kernel.fedvae_parameters import LATENT
from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import Adversary
from fedau2.wire.contributions import Update
from simulator.attacks.contract import Contribution, Seen
from simulator.attacks.cover_rows import rows_of, uncovered
from simulator.attacks.uploads import recover

Read = Callable[[Task, Contribution], NDArray[np.float32]]
"""From a contribution to a state."""


def user_gmf(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """FedNCF: a row of `item_gmf` is a number times the user's vector times the output's weights.

    The numbers of all rows add up to the gradient of the output's bias, which gives the scale.
    """
    total = rows_of(contribution, "item_gmf").values.sum(0, dtype=np.float64)
    weight = task.shared["output.weight"].numpy()[: len(total)]
    return _divided(total, float(np.asarray(contribution["output.bias"])[0]) * weight.astype(np.float64))


def user_mlp(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """FedNCF: the user's half of the first layer's gradients has one input, the user's vector."""
    width = task.shared["mlp.0.weight"].shape[1] - task.shared["item_mlp"].shape[1]
    return _input(np.asarray(contribution["mlp.0.weight"])[:, :width], contribution["mlp.0.bias"])


def latent(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """FedVAE: the decoder's first layer has one input, the latent."""
    return _input(contribution["decoder.weight"], contribution["decoder.bias"])


READS: Mapping[str, Read] = {"user_gmf": user_gmf, "user_mlp": user_mlp, LATENT: latent}
"""By name of a protected state; FedRAP's are in no tensor but the adversary's."""


def read(seen: Seen, adversary: Adversary) -> NDArray[np.float32]:
    """The state that an adversary protects, which is in `READS`, of the clients of a round, (n, width)."""
    reads = [READS[name] for name in adversary.protects]
    own = (uncovered(seen.task, one) for one in seen.contributions())
    return np.stack([np.concatenate([each(seen.task, one) for each in reads]) for one in own])


def _input(weight: Update, bias: Update) -> NDArray[np.float32]:
    tensors = (torch.from_numpy(np.asarray(each))[None] for each in (weight, bias))
    return recover(*tensors)[0].numpy()


def _divided(total: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.divide(total, by, out=np.zeros_like(total), where=by != 0).astype(np.float32)
