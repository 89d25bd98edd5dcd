"""FedNCF: NeuMF with the user's vectors on the device.

    logit = output . [user_gmf * item_gmf, MLP([user_mlp, item_mlp])] + bias

The loss is the binary cross-entropy.

The gradients are written by hand rather than left to autograd. The item half of the first layer is applied to each
touched row once instead of to each sample, and nothing is computed twice. The step is an ordinary graph without a
backward pass, ready to be exported.
"""

import math

import torch
from torch import Tensor

from client_sdk import draws
from client_sdk.kernel import grouped, losses, specs
from client_sdk.kernel.batch import Batch
from client_sdk.kernel.contract import Gradients, Step, Tensors, Unlearn
from client_sdk.kernel.fedncf_parameters import Widths
from fedau2.v1.task_pb2 import DRAW_CONTRASTS
from fedau2.v1.tensors_pb2 import TensorSpec

_EMBEDDING = specs.normal(0.01)


def tensors(items: int, widths: Widths | None = None) -> list[TensorSpec]:
    """The model's tensors for a catalogue of `items`. Tables N(0, 0.01^2), MLP Xavier, output Kaiming, biases 0."""
    widths = widths or Widths()
    tensors = [*_pair("gmf", items, widths.gmf), *_pair("mlp", items, widths.mlp)]
    inputs = 2 * widths.mlp
    for layer, outputs in enumerate(widths.hidden):
        xavier = specs.uniform(math.sqrt(6 / (inputs + outputs)))
        tensors.append(specs.dense(f"mlp.{layer}.weight", [outputs, inputs], xavier))
        tensors.append(specs.dense(f"mlp.{layer}.bias", [outputs], specs.ZEROS))
        inputs = outputs
    width = widths.gmf + inputs
    kaiming = specs.uniform(math.sqrt(3 / width))
    return [
        *tensors,
        specs.dense("output.weight", [width], kaiming),
        specs.dense("output.bias", [1], specs.ZEROS),
    ]


def _pair(branch: str, items: int, width: int) -> list[TensorSpec]:
    if width == 0:
        return []
    return [
        specs.table(f"item_{branch}", [items, width], _EMBEDDING),
        specs.private(f"user_{branch}", [width], _EMBEDDING),
    ]


draw = draws.contrasts
DRAW = DRAW_CONTRASTS


def prepare(shared: Tensors) -> Tensors:
    """Computes what scoring needs of the shared tensors, once per checkpoint.

    The item half of the first layer is applied to the whole catalogue: "item_hidden", (hidden[0], items). Items are the
    last axis, so that scoring ends in products of a vector and a matrix, which runtimes compute fast.
    """
    weight = shared["mlp.0.weight"]
    half = shared["item_mlp"].shape[1]
    serving = {name: value for name, value in shared.items() if name not in ("item_gmf", "item_mlp", "mlp.0.weight")}
    if "item_gmf" in shared:
        serving["item_gmf"] = shared["item_gmf"].T.contiguous()
    item_hidden = weight[:, half:] @ shared["item_mlp"].T
    return {**serving, "user_hidden.weight": weight[:, :half].T.contiguous(), "item_hidden": item_hidden}


def user(serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
    """The user's vectors, each (width,); the paper protects the first, "user_gmf"."""
    return private


def score(serving: Tensors, user: Tensors) -> Tensor:
    """Logits of the items, (items,), for one user."""
    first = user["user_mlp"] @ serving["user_hidden.weight"] + serving["mlp.0.bias"]
    hidden = torch.relu(serving["item_hidden"] + first[:, None])
    for layer in range(1, _depth(serving)):
        weight, bias = serving[f"mlp.{layer}.weight"], serving[f"mlp.{layer}.bias"]
        hidden = torch.relu(torch.addmm(bias[:, None], weight, hidden))
    weight = serving["output.weight"]
    gmf = len(weight) - len(hidden)
    logits = weight[gmf:] @ hidden + serving["output.bias"]
    if gmf:
        logits = logits + (user["user_gmf"] * weight[:gmf]) @ serving["item_gmf"]
    return logits


def _depth(tensors: Tensors) -> int:
    return sum(name.startswith("mlp.") and name.endswith(".bias") for name in tensors)


def gradients(shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
    """Gradients of the weighted sum of binary cross-entropies. See `contract.Recommender.gradients`."""
    batch, groups = step.batch, step.rows.groups
    users, items = private["user_mlp"], shared["item_mlp"]
    out = Gradients(loss=users.new_zeros(batch.clients))
    first, bias = shared["mlp.0.weight"], shared["mlp.0.bias"]
    user_half, item_half = first[:, :, : users.shape[1]], first[:, :, users.shape[1] :]
    # Where several steps share the rows, a step has fewer samples than rows: then its samples stand in for them.
    by_sample = batch.slot.shape[0] < items.shape[0]
    if by_sample:
        items = items.index_select(0, batch.slot)
    # The two halves of the first layer, before they meet in a sample.
    item_hidden = grouped.linear(items, item_half)
    user_hidden = grouped.linear(users, user_half, bias)
    item_grad = items.new_zeros(0 if by_sample else items.shape[0], first.shape[1])
    user_grad = torch.zeros_like(user_hidden)
    for tile in [batch] if by_sample else batch.tiles():
        hidden = item_hidden if by_sample else item_hidden.index_select(0, tile.slot)
        hidden = grouped.add_spread(hidden, user_hidden, tile.client, tile.groups).relu_()
        grad = _sample_gradients(shared, private, tile, hidden, out)
        item_grad = grad if by_sample else item_grad.index_add_(0, tile.slot, grad)
        user_grad += grouped.collect(grad, tile.client, tile.clients, tile.groups)
    rows_grad = grouped.input_gradient(item_grad, item_half)
    if by_sample:
        rows_grad = torch.zeros_like(shared["item_mlp"]).index_add_(0, batch.slot, rows_grad)
    out.shared["item_mlp"] = rows_grad
    out.private["user_mlp"] = grouped.input_gradient(user_grad, user_half)
    halves = [(user_grad, users), (item_grad, items)]
    out.shared["mlp.0.weight"] = torch.cat([grouped.weight_gradient(g, x, groups) for g, x in halves], 2)
    out.shared["mlp.0.bias"] = grouped.bias_gradient(user_grad, groups)
    for name, push in unlearn(private).items():
        out.private[name] += push
    return out


def _sample_gradients(shared: Tensors, private: Tensors, tile: Batch, hidden: Tensor, out: Gradients) -> Tensor:
    """Adds a tile's gradients to `out`; returns the gradient before the first layer's ReLU, (samples, hidden[0])."""
    layers = [hidden]
    for layer in range(1, _depth(shared)):
        weight, bias = shared[f"mlp.{layer}.weight"], shared[f"mlp.{layer}.bias"]
        layers.append(grouped.linear(layers[-1], weight, bias).relu_())
    output = shared["output.weight"]
    width = output.shape[1] - layers[-1].shape[1]
    logits = grouped.linear(layers[-1], output[:, None, width:], shared["output.bias"]).squeeze(1)
    gmf = _Gmf(shared, private, tile) if width else None
    if gmf:
        logits += gmf.logits()
    loss, grad = losses.binary_cross_entropy(logits, tile)
    out.loss.add_(loss)
    grad = grad[:, None]
    weight_grad = grouped.weight_gradient(grad, layers[-1], tile.groups)[:, 0]
    if gmf:
        weight_grad = torch.cat([gmf.gradients(grad, out), weight_grad], 1)
    _add(out.shared, "output.weight", weight_grad)
    _add(out.shared, "output.bias", grouped.bias_gradient(grad, tile.groups))
    grad = grouped.input_gradient(grad, output[:, None, width:])
    for layer in range(len(layers) - 1, 0, -1):
        grad = grouped.relu_gradient(grad, layers[layer])
        _add(out.shared, f"mlp.{layer}.weight", grouped.weight_gradient(grad, layers[layer - 1], tile.groups))
        _add(out.shared, f"mlp.{layer}.bias", grouped.bias_gradient(grad, tile.groups))
        grad = grouped.input_gradient(grad, shared[f"mlp.{layer}.weight"])
    return grouped.relu_gradient(grad, layers[0])


class _Gmf:
    """The generalised matrix factorisation branch of one tile."""

    def __init__(self, shared: Tensors, private: Tensors, tile: Batch) -> None:
        self._users, self._tile = private["user_gmf"], tile
        self._weight = shared["output.weight"][:, : self._users.shape[1]]
        self._table = shared["item_gmf"]
        self._items = self._table.index_select(0, tile.slot)
        self._scaled = self._users * self._weight

    def logits(self) -> Tensor:
        return grouped.mul_spread(self._items, self._scaled, self._tile.client, self._tile.groups).sum(1)

    def gradients(self, grad: Tensor, out: Gradients) -> Tensor:
        """Adds the branch's gradients to `out`; returns that of its output weights, (G, gmf)."""
        tile = self._tile
        per_client = grouped.collect(self._items.mul_(grad), tile.client, tile.clients, tile.groups)
        if "item_gmf" not in out.shared:
            out.shared["item_gmf"] = torch.zeros_like(self._table)
        pushed = grouped.mul_spread(grad.expand_as(self._items), self._scaled, tile.client, tile.groups)
        out.shared["item_gmf"].index_add_(0, tile.slot, pushed)
        _add(out.private, "user_gmf", per_client * self._weight)
        return grouped.bias_gradient(per_client * self._users, tile.groups)


def _add(sums: Tensors, name: str, value: Tensor) -> None:
    sums[name] = sums[name].add_(value) if name in sums else value
