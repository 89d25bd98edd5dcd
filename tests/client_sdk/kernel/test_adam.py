"""The private tensors' Adam is PyTorch's, with the same bytes however it is cut into blocks."""

import pytest
import torch

from client_sdk.kernel import adam

SHAPES = {"a": (5, 3, 4), "b": (5, 7)}


def tensors(generator):
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("block", [1, 24, 10**6])
def test_steps_are_those_of_pytorch(monkeypatch, block):
    monkeypatch.setattr(adam, "BLOCK", block)
    generator = torch.Generator().manual_seed(3)
    values = tensors(generator)
    wanted = {name: value.clone().requires_grad_() for name, value in values.items()}
    optimizer = torch.optim.Adam(wanted.values(), lr=0.1)
    first, second = ({name: torch.zeros(shape) for name, shape in SHAPES.items()} for _ in range(2))
    for taken in range(4):
        gradients = tensors(generator)
        for name, tensor in wanted.items():
            tensor.grad = gradients[name].clone()
        optimizer.step()
        adam.step(values, first, second, gradients, torch.full((5,), taken), 0.1)
        for name, tensor in wanted.items():
            torch.testing.assert_close(values[name], tensor.detach())
            assert torch.equal(gradients[name], tensor.grad)


def test_clients_are_at_steps_of_their_own(monkeypatch):
    generator = torch.Generator().manual_seed(4)
    start = [tensors(generator), tensors(generator), {n: t.square() for n, t in tensors(generator).items()}]
    gradients, steps = tensors(generator), torch.tensor([0, 7, 1, 300, 2])
    together = [{name: tensor.clone() for name, tensor in part.items()} for part in start]
    adam.step(*together, gradients, steps, 0.01)
    monkeypatch.setattr(adam, "BLOCK", 1)
    for client in range(5):
        one = slice(client, client + 1)
        alone = [{name: tensor[one].clone() for name, tensor in part.items()} for part in start]
        adam.step(*alone, {name: tensor[one] for name, tensor in gradients.items()}, steps[one], 0.01)
        for part, whole in zip(alone, together, strict=True):
            assert all(torch.equal(part[name], whole[name][one]) for name in SHAPES)
