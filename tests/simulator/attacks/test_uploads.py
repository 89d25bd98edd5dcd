"""What is observed is what devices upload."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel.training import CohortTraining
from client_sdk.protocol.defences import defend
from simulator.attacks import uploads
from simulator.attacks.uploads import Uploads
from tests.recommenders import LEAN

HEADS = ("mlp", "vae", "dsvae", "scalar")


@pytest.mark.parametrize("protect", ["embedding", "each"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("model", LEAN)
def test_uploads_are_those_of_devices(observed, monkeypatch, model, head, protect):
    monkeypatch.setattr(uploads, "_CLIENTS", 3)
    task, population = observed(20, model=model, head=head, protects=protect)
    members, adversaries = np.array([3, 1, 11, 7, 8]), list(task.manifest.plan.adversaries)
    seen = uploads.observe(task, adversaries, population, members, 5)
    assert list(seen.uploads) == list(seen.secrets) == [each.name for each in adversaries]
    for place, member in enumerate(members):
        cohort = population.cohort(task.manifest, 5, np.array([member]))
        training = CohortTraining(task, 5, cohort, summed=False).run()
        uploaded, fired = training.contributions()[0], training.report().triggered
        for name, each in seen.uploads.items():
            own = {key: value[place].numpy() for key, value in each.gradients.items()}
            own["hidden.weight"] = np.outer(own["hidden.bias"], each.recovered[place])
            assert {f"adversary.{name}.{key}" for key in own} == {key for key in uploaded if f".{name}." in key}
            for key, value in own.items():
                expected = uploaded[f"adversary.{name}.{key}"]
                np.testing.assert_allclose(value, expected, atol=1e-5 * max(np.abs(expected).max(), 1e-6))
            assert seen.secrets[name].labels[place] == cohort.labels[name][0]
            assert seen.secrets[name].triggered[place] == fired[name][0, 0]
            received = Uploads.received(adversaries[list(seen.uploads).index(name)], [uploaded])
            torch.testing.assert_close(received.recovered[0], each.recovered[place], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 1.5])
@pytest.mark.parametrize("model", LEAN)
def test_defended_uploads_are_those_of_devices(observed, model, noise):
    options = {"adversary_clip_norm": 0.2, "noise_multiplier": noise, "protects": "each", "cover_rows": 0.5}
    task, population = observed(20, model=model, head="dsvae", **options)
    members, adversaries = np.array([3, 1, 11]), list(task.manifest.plan.adversaries)
    seen = uploads.observe(task, adversaries, population, members, 5)
    for place, member in enumerate(members):
        cohort = population.cohort(task.manifest, 5, np.array([member]))
        trained = CohortTraining(task, 5, cohort, summed=False).run().contributions()[0]
        sent = defend(task.manifest, trained, population.keys[member], 5)
        for name, each in seen.uploads.items():
            own = {key: value[place].numpy() for key, value in each.gradients.items()}
            own["hidden.weight"] = (
                each.weight[place].numpy() if noise else np.outer(own["hidden.bias"], each.recovered[place])
            )
            for key, value in own.items():
                expected = sent[f"adversary.{name}.{key}"]
                np.testing.assert_allclose(value, expected, atol=1e-5 * max(np.abs(expected).max(), 1e-6))


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 8), st.integers(0, 99))
def test_a_layers_input_is_in_its_gradients(clients, out, width, seed):
    draw = torch.Generator().manual_seed(seed)
    state = torch.randn(clients, width, generator=draw)
    bias = torch.randn(clients, out, generator=draw)
    bias[0] = 0  # no unit was on
    state[0] = 0
    recovered = uploads.recover(bias[:, :, None] * state[:, None], bias)
    torch.testing.assert_close(recovered, state)
