"""Linear algebra over groups: rows of samples times weights, which are common to all groups or differ by group.

Matrices of samples are flat, (G * n, width). Weights are (1, out, in) while all groups agree, else (G, out, in).
"""

import torch
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X times the transposed weight plus bias, (G * n, out)."""
    if weight.shape[0] == 1:
        return x @ weight[0].T if bias is None else torch.addmm(bias[0], x, weight[0].T)
    groups = x.view(weight.shape[0], -1, x.shape[1])
    transposed = weight.transpose(1, 2)
    out = torch.bmm(groups, transposed) if bias is None else torch.baddbmm(bias[:, None], groups, transposed)
    return out.view(x.shape[0], -1)


def input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    """Gradient of `linear` with respect to x, (G * n, in)."""
    if weight.shape[0] == 1:
        return grad @ weight[0]
    return torch.bmm(grad.view(weight.shape[0], -1, grad.shape[1]), weight).view(grad.shape[0], -1)


def weight_gradient(grad: Tensor, x: Tensor, groups: int) -> Tensor:
    """Gradient of `linear` with respect to the weight, (G, out, in)."""
    if groups == 1:
        return (grad.T @ x)[None]
    return torch.bmm(grad.view(groups, -1, grad.shape[1]).transpose(1, 2), x.view(groups, -1, x.shape[1]))


def bias_gradient(grad: Tensor, groups: int) -> Tensor:
    """Gradient of `linear` with respect to the bias, (G, out)."""
    return grad.view(groups, -1, grad.shape[1]).sum(1)


def relu_gradient(grad: Tensor, activation: Tensor) -> Tensor:
    """`grad` where the ReLU's output is positive, else 0."""
    return torch.ops.aten.threshold_backward(grad, activation, 0)  # type: ignore[no-any-return]


def add_spread(per_sample: Tensor, per_client: Tensor, client: Tensor, groups: int) -> Tensor:
    """Adds each client's vector (B, width) to its samples (G * n, width), in place."""
    if groups == per_client.shape[0]:
        per_sample.view(groups, -1, per_sample.shape[1]).add_(per_client[:, None])
        return per_sample
    return per_sample.add_(per_client.index_select(0, client))


def mul_spread(per_sample: Tensor, per_client: Tensor, client: Tensor, groups: int) -> Tensor:
    """Samples (G * n, width) times their client's vector (B, width)."""
    if groups == per_client.shape[0]:
        product = per_sample.view(groups, -1, per_sample.shape[1]) * per_client[:, None]
        return product.view(per_sample.shape)
    return per_client.index_select(0, client).mul_(per_sample)


def collect(per_sample: Tensor, client: Tensor, clients: int, groups: int) -> Tensor:
    """Sums the samples (G * n, width) of each client, (B, width)."""
    if groups == clients:
        return per_sample.view(clients, -1, per_sample.shape[1]).sum(1)
    return per_sample.new_zeros(clients, per_sample.shape[1]).index_add_(0, client, per_sample)
