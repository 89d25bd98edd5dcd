"""PFedRec (Zhang et al., IJCAI 2023): each user has a score function of its own in place of a vector.

    logit = weight . item + bias

The score function is linear, as in the authors' code, and private. The items' vectors are shared. The paper
personalises twice: the score function takes its step first, and then the items' vectors theirs, by the new score
function. Here both move in each local step. There are two by default, each on half of the interactions: the second
moves its items by the score function that the first has made. The paper recommends with items' vectors that the device
has tuned, and forgets them in the next round. Here a device recommends with the server's vectors.
"""

import math

from torch import Tensor

from client_sdk import draws
from client_sdk.kernel import products, specs
from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from client_sdk.kernel.pfedrec_parameters import Widths
from fedau2.v1.task_pb2 import DRAW_CONTRASTS
from fedau2.v1.tensors_pb2 import TensorSpec


def tensors(items: int, widths: Widths | None = None) -> list[TensorSpec]:
    """The model's tensors for a catalogue of `items`. Items N(0, 0.01^2), score function as PyTorch's linear layers."""
    latent = (widths or Widths()).latent
    uniform = specs.uniform(1 / math.sqrt(latent))
    return [
        specs.table("item_vector", [items, latent], specs.normal(0.01)),
        specs.private("score_weight", [latent], uniform),
        specs.private("score_bias", [1], uniform),
    ]


draw = draws.contrasts
DRAW = DRAW_CONTRASTS


prepare = products.prepare


def user(serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
    """The score function: its weights, (latent,), which are protected first, and its bias, (1,)."""
    return private


def score(serving: Tensors, user: Tensors) -> Tensor:
    """Logits of the items, (items,), for one user."""
    return user["score_weight"] @ serving["item_vector"] + user["score_bias"]


def gradients(shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Gradients of the cross-entropy. See `contract.Recommender.gradients`."""
    weight, bias = private["score_weight"], private["score_bias"]
    terms = products.cross_entropy(shared["item_vector"], weight, step.batch, bias)
    by_user = {"score_weight": terms.users, "score_bias": terms.biases}
    out = Gradients(terms.loss, {"item_vector": terms.items}, by_user)
    for name, push in unlearn(private).items():
        out.private[name] += push
    return out
