"""The private tensors' Adam (Kingma and Ba, 2015, algorithm 1), with a step count for each client."""

from torch import Tensor

from client_sdk.kernel.contract import Tensors
from client_sdk.onnx.private_adam import BETA1, BETA2, EPSILON

BLOCK = 2**15
"""Numbers that are worked on at a time, so that they stay in the processor's cache; clients are not divided."""


def step(
    values: Tensors, first: Tensors, second: Tensors, gradients: Tensors, steps: Tensor, learning_rate: float
) -> None:
    """Takes a step: values and moments change in place.

    Args:
        values: by name, (B, ...), contiguous.
        first: first moments, same shapes.
        second: second moments, same shapes.
        gradients: same shapes.
        steps: steps taken before this one, int64 (B,).
        learning_rate: > 0.
    """
    scale, shift = (number[:, None] for number in corrections(steps, learning_rate))
    for name, gradient in gradients.items():
        state = [part[name].view(len(steps), -1) for part in (values, first, second)]
        columns = (*state, gradient.flatten(1), scale, shift)
        rows = max(1, BLOCK // state[0].shape[1])
        for start in range(0, len(steps), rows):
            value, mean, square, grad, factor, summand = (column[start : start + rows] for column in columns)
            mean.lerp_(grad, 1 - BETA1)
            square.mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
            # rate * first / (sqrt(second) / root + EPSILON), in as few passes over memory as possible.
            value.addcdiv_(mean, square.sqrt().mul_(factor).add_(summand), value=-1)


def corrections(steps: Tensor, learning_rate: float) -> tuple[Tensor, Tensor]:
    """Two numbers for each client, (B,): a step subtracts `first / (sqrt(second) * scale + shift)`."""
    taken = (steps + 1).double()
    rate = learning_rate / (1 - BETA1**taken)
    root = (1 - BETA2**taken).sqrt()
    return (1 / (rate * root)).float(), (EPSILON / rate).float()
