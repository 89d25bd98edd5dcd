"""The server's step against PyTorch's optimizers on the same means."""

import numpy as np
import pytest
import torch

from coordinator.aggregation.optimizers import server_step
from fedau2.wire import blobs

MEANS = [np.random.default_rng(round_).normal(size=(6, 4)) for round_ in range(20)]


def task(tools, optimizer):
    bundle = tools.make_bundle(optimizer)
    return bundle.manifest, blobs.unpack(bundle.blobs[bundle.manifest.checkpoint.sha256])


def torch_steps(make, start, means):
    parameter = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = make([parameter])
    for mean in means:
        parameter.grad = torch.tensor(mean)
        optimizer.step()
    return parameter.detach().numpy()


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_steps_are_those_of_torch(tools, name):
    make = {
        "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01, betas=(0.9, 0.999), eps=1e-8),
        "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    }[name]
    manifest, start = task(tools, {"adam": tools.ADAM, "sgd": tools.SGD}[name])
    checkpoint, state = start, {}
    for mean in MEANS:
        checkpoint, state = server_step(manifest, checkpoint, state, {"items": mean})
        state = blobs.unpack(blobs.pack(state))
    expected = torch_steps(make, start["items"], MEANS)
    np.testing.assert_allclose(checkpoint["items"], expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def reference(means, variance, start):
    """Adam in float64, with the variance taken off as the docs say."""
    first = second = np.zeros_like(start, np.float64)
    values = start.astype(np.float64)
    for number, mean in enumerate(means, 1):
        first = (0.9 * first + 0.1 * mean).astype(np.float32).astype(np.float64)
        second = (0.999 * second + 0.001 * mean**2).astype(np.float32).astype(np.float64)
        corrected = np.maximum(second / (1 - 0.999**number) - variance, variance / 4)
        values = (values - 0.01 * first / (1 - 0.9**number) / (np.sqrt(corrected) + 1e-8)).astype(np.float32)
    return values


@pytest.mark.parametrize("variance", [0.3, 1.0, 1e6])
def test_known_noise_is_taken_off_the_second_moment(tools, variance):
    manifest, start = task(tools, tools.ADAM)
    checkpoint, state = start, {}
    for mean in MEANS:
        checkpoint, state = server_step(manifest, checkpoint, state, {"items": mean}, {"items": variance, "tower": 9.0})
    expected = reference(MEANS, variance, start["items"])
    np.testing.assert_allclose(checkpoint["items"], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_plan_may_leave_noise_in_the_second_moment(tools):
    manifest, start = task(tools, tools.ADAM)
    steps = []
    for corrected in (None, True, False):
        if corrected is not None:
            manifest.plan.server.shared.noise_corrected = corrected
        steps.append(server_step(manifest, start, {}, {"items": MEANS[0]}, {"items": 0.5})[0]["items"].tobytes())
    plain = server_step(manifest, start, {}, {"items": MEANS[0]})[0]["items"].tobytes()
    assert steps[0] == steps[1] != steps[2] == plain


def test_adversaries_have_their_own_optimizer(tools):
    manifest, start = task(tools, tools.ADAM)
    mean = np.ones((2, 5))
    checkpoint, state = server_step(manifest, start, {}, {tools.ADVERSARY: mean})
    np.testing.assert_allclose(checkpoint[tools.ADVERSARY], start[tools.ADVERSARY] - 0.1, atol=1e-6)
    assert state == {}  # SGD keeps none


def test_what_nobody_carried_keeps_its_value_and_its_moments(tools):
    manifest, start = task(tools, tools.ADAM)
    means = {"items": MEANS[0], "tower": np.ones((3, 2))}
    checkpoint, state = server_step(manifest, start, {}, means)
    later, later_state = server_step(manifest, checkpoint, state, {"items": MEANS[1]})
    for name in ("tower", tools.ADVERSARY):
        assert later[name].tobytes() == checkpoint[name].tobytes()
    for part in ("first", "second", "steps"):
        assert later_state[f"tower.{part}"].tobytes() == state[f"tower.{part}"].tobytes()
    assert later_state["items.steps"][0] == 2


def test_a_step_leaves_its_arguments_as_they_are(tools):
    manifest, start = task(tools, tools.ADAM)
    _, state = server_step(manifest, start, {}, {"items": MEANS[0]})
    mean = MEANS[1].copy()
    before = blobs.pack(start), blobs.pack(state)
    server_step(manifest, start, state, {"items": mean})
    assert (blobs.pack(start), blobs.pack(state)) == before
    assert (mean == MEANS[1]).all()


def test_everything_is_stored_as_float32(tools):
    manifest, start = task(tools, tools.ADAM)
    checkpoint, state = server_step(manifest, start, {}, {"items": MEANS[0], tools.ADVERSARY: np.ones((2, 5))})
    assert {array.dtype for array in (*checkpoint.values(), *state.values())} == {np.dtype(np.float32)}
