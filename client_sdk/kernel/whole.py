"""Users that are read as a whole: all interactions are input and target at once. Several recommenders share this."""

import torch
from torch import Tensor

from client_sdk.kernel.contract import Step


def inputs(step: Step, weights: Tensor) -> Tensor:
    """The clients' inputs over their group's slots, (G, clients of a group, slots); `weights` are by sample."""
    rows, batch = step.rows, step.batch
    # With several groups every group has one client, and the client's slots are the group's.
    place = batch.slot if rows.groups > 1 else batch.client * rows.slots + batch.slot
    flat = weights.new_zeros(batch.clients * rows.slots).index_add_(0, place, weights)
    return flat.view(rows.groups, -1, rows.slots)


def history(step: Step) -> Tensor:
    """All interactions of each client with length 1, as `inputs` gives them; see `of_history`."""
    batch = step.batch
    seen = (batch.labels > 0).float()
    length = seen.new_zeros(batch.clients).index_add_(0, batch.client, seen).clamp(min=1).sqrt()
    return inputs(step, seen / length.index_select(0, batch.client))


def gather(table: Tensor, inputs: Tensor) -> Tensor:
    """Sums the rows of a table by the inputs, (G, clients of a group, width)."""
    groups, _, slots = inputs.shape
    return torch.bmm(inputs, table.view(groups, slots, -1))


def gather_gradient(inputs: Tensor, grad: Tensor) -> Tensor:
    """Gradient of `gather` by its table, (G * m, width), from that by the sums, (B, width)."""
    return torch.bmm(inputs.transpose(1, 2), grad.view(inputs.shape[0], -1, grad.shape[1])).flatten(0, 1)


def multinomial(logits: Tensor, step: Step) -> tuple[Tensor, Tensor]:
    """Minus the log-likelihood of each client's interactions, (B,), and its gradient by logit, (B, items)."""
    batch, items = step.batch, logits.shape[1]
    place = batch.client * items + step.rows.table.index_select(0, batch.slot)
    target = logits.new_zeros(logits.numel()).index_add_(0, place, batch.labels).view(logits.shape)
    likelihood = torch.log_softmax(logits, 1)
    loss = -(target * likelihood).sum(1)
    return loss, likelihood.exp_().mul_(target.sum(1, keepdim=True)).sub_(target)


def tanh_gradient(grad: Tensor, activation: Tensor) -> Tensor:
    """Gradient by what a tanh was taken of, from that by its outcome."""
    return grad * (1 - activation * activation)


def of_history(table: Tensor, history: Tensor) -> Tensor:
    """Sums the rows of a history, (h,), over the root of their number, as a whole input does; h may be 0."""
    length = torch.ones_like(history, dtype=torch.float32).sum().clamp(min=1).sqrt()
    return table.index_select(0, history).sum(0) / length
