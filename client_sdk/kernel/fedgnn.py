"""FedGNN: a graph convolution over the user's own edges, the only ones that a device knows.

    node = user + tanh(sum over the interactions of neighbour / root of their number + bias)
    logit = node . item + item bias

The user's vector is private. Each item has two vectors: its message to the users who are linked to it, and the one that
is recommended by. The loss is minus the multinomial log-likelihood of the interactions, as FedVAE's, and a step leaves
out some of the edges, or an item would only learn to recommend itself.

The FedGNN of its paper (Wu et al., arXiv 2102.04925) also has edges to other users, whom a third party finds by items
in common, and shares the users' vectors. Here no edge leaves the device.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk import draws
from client_sdk.draws import Samples
from client_sdk.kernel import grouped, specs, whole
from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from client_sdk.kernel.fedgnn_parameters import NODE, Parameters, Widths
from client_sdk.plan import TrainingPlan
from fedau2.v1.task_pb2 import DRAW_WHOLE
from fedau2.v1.tensors_pb2 import TensorSpec


def tensors(items: int, widths: Widths | None = None) -> list[TensorSpec]:
    """The model's tensors for a catalogue of `items`. Items Xavier normal, users N(0, 0.01^2), biases 0."""
    latent = (widths or Widths()).latent
    xavier = specs.normal(math.sqrt(2 / (items + latent)))
    return [
        specs.table("item_message", [items, latent], xavier),
        specs.dense("message.bias", [latent], specs.ZEROS),
        specs.along_items(specs.dense("item_vector", [items, latent], xavier)),
        specs.along_items(specs.dense("item_bias", [items], specs.ZEROS)),
        specs.private("user_vector", [latent], specs.normal(0.01)),
    ]


DRAW = DRAW_WHOLE


def draw(
    plan: TrainingPlan[Parameters], interactions: NDArray[np.int64], key: bytes, round_number: int
) -> list[Samples]:
    """`draws.whole` without noise. See `contract.Recommender.draw`."""
    return draws.whole(plan.local, interactions, key, round_number, dropout=plan.parameters.dropout, noise=0)


def prepare(shared: Tensors) -> Tensors:
    """Turns the items' vectors, (latent, items), and passes on the messages, (items, latent), and the biases."""
    return {
        "message": shared["item_message"],
        "message.bias": shared["message.bias"],
        "item_vector": shared["item_vector"].T.contiguous(),
        "item_bias": shared["item_bias"],
    }


def user(serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
    """The user's node, (latent,), which is protected first, and the private vector in it."""
    message = torch.tanh(whole.of_history(serving["message"], history) + serving["message.bias"])
    return {NODE: private["user_vector"] + message, **private}


def score(serving: Tensors, user: Tensors) -> Tensor:
    """Logits of the items, (items,), for one user."""
    return user[NODE] @ serving["item_vector"] + serving["item_bias"]


def embed(shared: Tensors, private: Tensors, step: Step) -> Tensors:
    """The node of each client, (B, latent), with all edges. See `contract.Embedder`."""
    return {NODE: private["user_vector"] + _message(shared, whole.history(step))}


def _message(shared: Tensors, inputs: Tensor) -> Tensor:
    """The messages of the neighbours, which are added to each node, (B, latent)."""
    sums = whole.gather(shared["item_message"], inputs)
    return sums.add_(shared["message.bias"][:, None]).tanh_().flatten(0, 1)


def gradients(shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Gradients of the log-likelihood. See `contract.Recommender.gradients`."""
    groups, vector = step.rows.groups, private["user_vector"]
    inputs = whole.inputs(step, step.batch.weights)
    message = _message(shared, inputs)
    node = vector + message
    loss, grad = whole.multinomial(grouped.linear(node, shared["item_vector"], shared["item_bias"]), step)
    out = Gradients(loss)
    out.shared["item_vector"] = grouped.weight_gradient(grad, node, groups)
    out.shared["item_bias"] = grouped.bias_gradient(grad, groups)
    push = unlearn({NODE: node, "user_vector": vector})
    by_node = grouped.input_gradient(grad, shared["item_vector"])
    if NODE in push:
        by_node = by_node + push[NODE]
    by_message = whole.tanh_gradient(by_node, message)
    out.shared["message.bias"] = grouped.bias_gradient(by_message, groups)
    out.shared["item_message"] = whole.gather_gradient(inputs, by_message)
    out.private["user_vector"] = by_node + push["user_vector"] if "user_vector" in push else by_node
    return out
