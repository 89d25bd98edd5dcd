"""The private tensors' Adam (Kingma and Ba, 2015, algorithm 1), with a step count for each client."""

import torch
from torch import Tensor

from client_sdk.kernel.contract import Tensors
from client_sdk.private_adam import BETA1, BETA2, EPSILON


def step(
    values: Tensors, first: Tensors, second: Tensors, gradients: Tensors, steps: Tensor, learning_rate: float
) -> tuple[Tensors, Tensors, Tensors]:
    """New values and moments; the arguments are left as they are.

    Args:
        values: by name, (B, ...).
        first: first moments, same shapes.
        second: second moments, same shapes.
        gradients: same shapes.
        steps: steps taken before this one, int64 (B,).
        learning_rate: > 0.
    """
    taken = (steps + 1).double()
    rate = learning_rate / (1 - BETA1**taken)
    root = (1 - BETA2**taken).sqrt()
    out: tuple[Tensors, Tensors, Tensors] = ({}, {}, {})
    for name, gradient in gradients.items():
        shape = (-1, *[1] * (gradient.dim() - 1))
        out[1][name] = torch.lerp(first[name], gradient, 1 - BETA1)
        out[2][name] = (second[name] * BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        # rate * first / (sqrt(second) / root + EPSILON), in as few passes over memory as can be.
        denominator = out[2][name].sqrt().mul_((1 / (rate * root)).float().view(shape))
        denominator.add_((EPSILON / rate).float().view(shape))
        out[0][name] = torch.addcdiv(values[name], out[1][name], denominator, value=-1)
    return out
