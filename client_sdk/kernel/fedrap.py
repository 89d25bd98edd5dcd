"""FedRAP (Li et al., ICLR 2024) as the paper of FedAU2 has it: each user adds vectors of its own to the items'.

    logit = output . (item_common + item_personal) + bias

The loss is the binary cross-entropy, plus mu times the mean absolute value of the samples' common vectors. A user's
private state is a vector for every item. The paper protects the sums of these vectors over the latent axis, one number
an item; the whole vectors can be protected too. Either way the reversed gradient reaches the vectors of all items, not
only those of the samples.
"""

import math

from torch import Tensor

from client_sdk import draws
from client_sdk.kernel import grouped, losses, specs
from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from client_sdk.kernel.fedrap_parameters import SUM, Widths
from fedau2.v1.task_pb2 import DRAW_CONTRASTS
from fedau2.v1.tensors_pb2 import TensorSpec


def tensors(items: int, widths: Widths | None = None) -> list[TensorSpec]:
    """The model's tensors for a catalogue of `items`. Vectors N(0, 0.01^2), output uniform as PyTorch's layers."""
    latent = (widths or Widths()).latent
    return [
        specs.table("item_common", [items, latent], specs.normal(0.01)),
        specs.along_items(specs.private("item_personal", [items, latent], specs.normal(0.01))),
        specs.dense("output.weight", [latent], specs.uniform(1 / math.sqrt(latent))),
        specs.dense("output.bias", [1], specs.ZEROS),
    ]


draw = draws.contrasts
DRAW = DRAW_CONTRASTS


def prepare(shared: Tensors) -> Tensors:
    """Computes the common part of every item's logit, (items,), and passes on the output's weights, (latent,)."""
    weight = shared["output.weight"]
    return {"item_logit": shared["item_common"] @ weight + shared["output.bias"], "output.weight": weight}


def user(serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
    """Gives the paper's protected state, (items,), and the personal vectors, (latent, items)."""
    personal = private["item_personal"]
    return {SUM: personal.sum(1), "item_personal": personal.T}


def score(serving: Tensors, user: Tensors) -> Tensor:
    """Logits of the items, (items,), for one user."""
    return serving["item_logit"] + serving["output.weight"] @ user["item_personal"]


def gradients(shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Gradients of cross-entropy and penalty. See `contract.Recommender.gradients`."""
    batch, groups = step.batch, step.rows.groups
    common, personal, weight = shared["item_common"], private["item_personal"], shared["output.weight"]
    place = batch.client * personal.shape[1] + step.rows.table.index_select(0, batch.slot)
    vectors = personal.flatten(0, 1).index_select(0, place).add_(common.index_select(0, batch.slot))
    logits = grouped.linear(vectors, weight[:, None], shared["output.bias"]).squeeze(1)
    loss, grad = losses.binary_cross_entropy(logits, batch)
    penalty, penalty_grad = _penalty(common, step)
    # All samples of an item have the same direction of gradient, so that numbers are added up instead of vectors.
    by_slot = grad.new_zeros(common.shape[0]).index_add_(0, batch.slot, grad)
    by_item = grad.new_zeros(len(personal) * personal.shape[1]).index_add_(0, place, grad)
    out = Gradients(loss=loss + penalty)
    out.shared["item_common"] = penalty_grad.add_(_outer(by_slot.view(len(weight), -1), weight).flatten(0, 1))
    out.shared["output.weight"] = grouped.weight_gradient(grad[:, None], vectors, groups)[:, 0]
    out.shared["output.bias"] = grouped.bias_gradient(grad[:, None], groups)
    out.private["item_personal"] = _outer(by_item.view(personal.shape[:2]), weight)
    push = unlearn({SUM: personal.sum(2), "item_personal": personal})
    if SUM in push:
        out.private["item_personal"] += push[SUM][:, :, None]
    if "item_personal" in push:
        out.private["item_personal"] += push["item_personal"]
    return out


def _outer(numbers: Tensor, weight: Tensor) -> Tensor:
    """Numbers (n, m) times their group's weights (1 or n, latent), (n, m, latent)."""
    return numbers[:, :, None] * weight[:, None]


def _penalty(common: Tensor, step: Step) -> tuple[Tensor, Tensor]:
    """The weighted penalty for each client, (B,), and its gradient by row, (G * m, latent)."""
    batch, scale = step.batch, step.parameters.l1_weight / common.shape[1]
    sizes = common.abs().sum(1).index_select(0, batch.slot)
    weights = common.new_zeros(common.shape[0]).index_add_(0, batch.slot, batch.weights * scale)
    return losses.of_clients(sizes * batch.weights * scale, batch), common.sign() * weights[:, None]
