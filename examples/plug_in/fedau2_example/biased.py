"""The recommender `biased`: logit = user . item + the item's bias. The loss is the binary cross-entropy."""

import torch
from torch import Tensor

from client_sdk import draws
from client_sdk.kernel import grouped, losses, specs
from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from fedau2.v1.task_pb2 import DRAW_CONTRASTS
from fedau2.v1.tensors_pb2 import TensorSpec
from fedau2_example.settings import Widths

draw = draws.contrasts
DRAW = DRAW_CONTRASTS


def tensors(items: int, widths: Widths | None = None) -> list[TensorSpec]:
    """The model's tensors for a catalogue of `items`."""
    factors = (widths or Widths()).factors
    return [
        specs.table("item_factors", [items, factors], specs.normal(0.1)),
        specs.table("item_bias", [items, 1], specs.ZEROS),
        specs.private("user_factors", [factors], specs.normal(0.1)),
    ]


def prepare(shared: Tensors) -> Tensors:
    """Turns the tables, so that items are the last axis."""
    return {"item_factors": shared["item_factors"].T.contiguous(), "item_bias": shared["item_bias"][:, 0]}


def user(serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
    """The user's vector, which is all that adversaries may protect."""
    return private


def score(serving: Tensors, user: Tensors) -> Tensor:
    """Logits of the items, (items,), for one user."""
    return user["user_factors"] @ serving["item_factors"] + serving["item_bias"]


def gradients(shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Gradients of the weighted sum of binary cross-entropies."""
    batch, table, bias = step.batch, shared["item_factors"], shared["item_bias"]
    items, users = table.index_select(0, batch.slot), private["user_factors"].index_select(0, batch.client)
    logits = (items * users).sum(1) + bias.index_select(0, batch.slot)[:, 0]
    loss, grad = losses.binary_cross_entropy(logits, batch)
    grad = grad[:, None]
    out = Gradients(loss)
    out.shared["item_factors"] = torch.zeros_like(table).index_add_(0, batch.slot, grad * users)
    out.shared["item_bias"] = torch.zeros_like(bias).index_add_(0, batch.slot, grad)
    pulled = grouped.collect(grad * items, batch.client, batch.clients, batch.groups)
    out.private["user_factors"] = pulled + unlearn(private).get("user_factors", 0)
    return out
