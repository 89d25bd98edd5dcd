"""FCF: collaborative filtering by factors (Ammad-ud-din et al., 2019), with the user's vector on the device.

    logit = user . item

The model is the paper's, and so is the server's Adam. The rest is as for the other recommenders of this project, which
makes them comparable. The loss is the binary cross-entropy of interactions and drawn negatives, where the paper has
squared errors of all items, weighed by confidence, with a penalty on the size of both vectors. The user's vector takes
a step of Adam, where the paper solves for it.
"""

from torch import Tensor

from client_sdk import draws
from client_sdk.kernel import products, specs
from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from client_sdk.kernel.fcf_parameters import Widths
from fedau2.v1.task_pb2 import DRAW_CONTRASTS
from fedau2.v1.tensors_pb2 import TensorSpec


def tensors(items: int, widths: Widths | None = None) -> list[TensorSpec]:
    """The model's tensors for a catalogue of `items`. All vectors N(0, 0.01^2)."""
    latent, small = (widths or Widths()).latent, specs.normal(0.01)
    return [specs.table("item_vector", [items, latent], small), specs.private("user_vector", [latent], small)]


draw = draws.contrasts
DRAW = DRAW_CONTRASTS


prepare = products.prepare


def user(serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
    """The user's vector, (latent,)."""
    return private


def score(serving: Tensors, user: Tensors) -> Tensor:
    """Logits of the items, (items,), for one user."""
    return user["user_vector"] @ serving["item_vector"]


def gradients(shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Gradients of the cross-entropy. See `contract.Recommender.gradients`."""
    terms = products.cross_entropy(shared["item_vector"], private["user_vector"], step.batch)
    out = Gradients(terms.loss, {"item_vector": terms.items}, {"user_vector": terms.users})
    for name, push in unlearn(private).items():
        out.private[name] += push
    return out
