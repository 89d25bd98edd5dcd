import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.kernel import adversary
from client_sdk.kernel.contract import Tensors
from fedau2.v1.task_pb2 import HEAD_DSVAE, HEAD_MLP, HEAD_SCALAR, HEAD_VAE, Adversary
from simulator import dlg
from simulator.uploads import Uploads

HEADS = st.sampled_from([HEAD_MLP, HEAD_VAE, HEAD_DSVAE, HEAD_SCALAR])


def made(head, classes, seed, width=6):
    """An adversary with its tensors, in float64."""
    each = Adversary(
        name="a", classes=[str(c) for c in range(classes)], protects=["e"], head=head, variance=4.0, epsilon=1.0
    )
    draw = torch.Generator().manual_seed(seed)
    specs = adversary.tensors(each, {"e": width})
    own = {
        spec.name.removeprefix("adversary.a."): torch.randn(*spec.shape, generator=draw, dtype=torch.float64) / 3
        for spec in specs
    }
    return each, own, draw


def judged(each, own, state, labels, noise) -> Tensors:
    """The kernel's gradients of each client."""
    shared = {f"adversary.a.{name}": value[None] for name, value in own.items()}
    found = adversary.judge(each, 0, shared, {"e": state}, labels, noise, len(labels)).shared
    return {name.removeprefix("adversary.a."): value for name, value in found.items()}


@given(head=HEADS, classes=st.integers(2, 4), seed=st.integers(0, 99))
def test_gradients_of_a_dummy_are_those_of_the_kernel(head, classes, seed):
    each, own, draw = made(head, classes, seed)
    state = torch.randn(5, 6, generator=draw, dtype=torch.float64)
    labels = torch.randint(classes, (5,), generator=draw)
    noise = torch.randn(5, 2, classes, generator=draw, dtype=torch.float64)
    onehot = torch.nn.functional.one_hot(labels, classes).double()
    drawn = noise.clone()
    drawn[:, 0] = 1 + (2.0 if head in (HEAD_DSVAE, HEAD_SCALAR) else 0.0) * noise[:, 0]
    expected = judged(each, own, state, labels, drawn)
    found = dlg._gradients(each, own, state, onehot, noise)
    found["hidden.weight"] = found["hidden.bias"][:, :, None] * state[:, None]
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@given(head=HEADS, seed=st.integers(0, 99))
def test_distance_is_over_every_tensor(head, seed):
    each, own, draw = made(head, 2, seed)
    states = torch.randn(2, 5, 6, generator=draw, dtype=torch.float64)
    labels = torch.randn(2, 5, 2, generator=draw, dtype=torch.float64)
    noise = torch.randn(2, 5, 2, 2, generator=draw, dtype=torch.float64)
    ours, theirs = (dlg._gradients(each, own, *args) for args in zip(states, labels, noise, strict=True))
    expected = sum(((ours[name] - theirs[name]) ** 2).flatten(1).sum(1) for name in ours)
    outer = [g["hidden.bias"][:, :, None] * x[:, None] for g, x in zip((ours, theirs), states, strict=True)]
    expected += ((outer[0] - outer[1]) ** 2).flatten(1).sum(1)
    torch.testing.assert_close(dlg._distance(states[0], ours, states[1], theirs), expected)


@pytest.mark.parametrize("head", [HEAD_MLP, HEAD_VAE])
def test_labels_behind_a_head_without_the_second_noise_are_guessed(head):
    each, own, draw = made(head, 2, 3, width=8)
    state = torch.randn(200, 8, generator=draw, dtype=torch.float64)
    labels = torch.arange(200) % 2
    noise = torch.randn(200, 2, 2, generator=draw, dtype=torch.float64)
    noise[:, 0] = 1
    gradients = judged(each, own, state, labels, noise)
    gradients.pop("hidden.weight")
    guessed = dlg.guess(each, own, Uploads(state, gradients, state, labels), seed=0)
    assert (guessed == labels).double().mean() > 0.6
    assert (dlg.guess(each, own, Uploads(state, gradients, state, labels), seed=0) == guessed).all()
