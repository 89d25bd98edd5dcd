"""Logits that are products of a vector of the user's and the items' vectors, as several recommenders have them."""

from typing import NamedTuple

from torch import Tensor

from client_sdk.kernel import grouped, losses
from client_sdk.kernel.batch import Batch
from client_sdk.kernel.contract import Tensors


class Products(NamedTuple):
    """The binary cross-entropy of products, with its gradients.

    Attributes:
        loss: for each client, (B,).
        items: gradient by the rows of the table, (G * m, width).
        users: gradient by the users' vectors, (B, width).
        biases: gradient by a number that is added to all logits of a client, (B, 1).
    """

    loss: Tensor
    items: Tensor
    users: Tensor
    biases: Tensor


def prepare(shared: Tensors) -> Tensors:
    """Turns the items' vectors, (latent, items), so that scoring is a product of a vector and a matrix."""
    return {"item_vector": shared["item_vector"].T.contiguous()}


def cross_entropy(table: Tensor, users: Tensor, batch: Batch, biases: Tensor | None = None) -> Products:
    """Computes the weighted binary cross-entropy of `logit = user . item + bias`.

    Args:
        table: the items' vectors by slot, (G * m, width).
        users: the clients' vectors, (B, width).
        batch: the samples.
        biases: the clients' own, (B, 1); without them the bias is 0.
    """
    items = table.index_select(0, batch.slot)
    logits = grouped.mul_spread(items, users, batch.client, batch.groups).sum(1, keepdim=True)
    if biases is not None:
        logits = grouped.add_spread(logits, biases, batch.client, batch.groups)
    loss, grad = losses.binary_cross_entropy(logits.squeeze(1), batch)
    grad = grad[:, None]
    by_sample = grouped.mul_spread(grad.expand_as(items), users, batch.client, batch.groups)
    return Products(
        loss,
        table.new_zeros(table.shape).index_add_(0, batch.slot, by_sample),
        grouped.collect(items.mul_(grad), batch.client, batch.clients, batch.groups),
        grouped.collect(grad, batch.client, batch.clients, batch.groups),
    )
