"""What is simulated is what devices would upload, and reads a label through noise that hides it from sums of rows."""

import numpy as np
import pytest
import torch

from simulator.attacks import uploads
from simulator.attacks.contract import Public
from simulator.attacks.matched_filter import means

NOISY = {"adversary_clip_norm": 0.05, "noise_multiplier": 1.0, "users": 200, "clients": 60}


@pytest.mark.parametrize("clip_norm", [0.0, 0.03])
@pytest.mark.parametrize("class_weights", ["none", "balanced"])
@pytest.mark.parametrize("model", ["fedncf", "fedrap"])
def test_a_mean_is_that_of_devices_of_the_class(observed, model, class_weights, clip_norm):
    """Of a head without noise, and of recommenders whose state is no draw, contributions are exactly known."""
    options = {"head": "mlp", "adversary_clip_norm": clip_norm, "class_weights": class_weights}
    task, population = observed(30, model=model, **options)
    (each,) = task.manifest.plan.adversaries
    seen = uploads.observe(task, [each], population, np.arange(30), 5)
    states, labels = seen.secrets[each.name].states, seen.secrets[each.name].labels
    own = {name: value.double() for name, value in uploads.adversary_tensors(task, each).items()}
    found = means(each, own, Public(states.numpy(), labels.numpy()), 0)
    sent = seen.uploads[each.name]
    whole = {**sent.gradients, "hidden.weight": torch.einsum("bh,bw->bhw", sent.gradients["hidden.bias"], states)}
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        for c in range(2):
            expected = value[labels == c].double().mean(0)
            torch.testing.assert_close(found[name][c], expected, rtol=1e-3, atol=1e-5 * float(value.abs().max()))


@pytest.mark.parametrize(("adversary", "noise"), [("mlp", 4.0), ("dsvae", 1.0)])
def test_a_filter_reads_more_through_noise_than_sums_of_rows_and_who_knows_the_state_still_more(
    found, adversary, noise
):
    options = NOISY | {"head": adversary, "noise_multiplier": noise}
    scores = found(["magnitude", "matched", "known-state"], (1, 20), **options)
    rows, matched, known = (scores[name, 20].success for name in ("magnitude", "matched", "known-state"))
    assert rows + 0.05 < matched < known
    assert matched > scores["matched", 1].success
    assert scores["matched", 20].null_mean < 0.55


def test_fedvaes_latent_is_known_too_though_each_round_has_another(found):
    options = NOISY | {"head": "mlp", "noise_multiplier": 3.0, "users": 60, "clients": 20}
    scores = found(["magnitude", "known-state"], (5,), model="fedvae", **options)
    assert scores["known-state", 5].success > scores["magnitude", 5].success + 0.05


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_filters_need_no_noise_and_take_weights_into_account(found, class_weights):
    scores = found(["matched", "prior"], head="mlp", users=160, clients=50, class_weights=class_weights)
    assert min(score.success for score in scores.values()) > 0.95


def test_a_known_state_is_of_use_under_noise_alone_and_where_it_is_told(found):
    assert found(["known-state"], head="mlp", users=60, clients=10) == {}
    assert found(["known-state", "shared"], model="fedrap", head="mlp", **NOISY) == {}
