"""The recommender's own tensors give the protected state, whatever is done to the adversary's."""

import pytest


@pytest.mark.parametrize("noise", [0.0, 10.0])
@pytest.mark.parametrize(
    ("model", "protect"),
    [
        ("fedncf", "embedding"),
        ("fedncf", "each"),
        ("fedvae", "embedding"),
        ("fcf", "embedding"),
        ("pfedrec", "each"),
        ("fedgnn", "embedding"),
        ("fedgnn", "each"),
    ],
)
def test_the_state_is_read_through_noise_on_the_adversary(found, model, protect, noise):
    options = {"adversary_clip_norm": 0.1, "noise_multiplier": noise, "users": 60, "clients": 15}
    scores = found(["shared", "embedding"], model=model, protects=protect, head="dsvae", **options)
    # PFedRec's bias and length are found together, and rows of several samples may suggest others.
    assert scores["shared", 1].success >= (0.8 if model == "pfedrec" else 1.0)
    assert scores["embedding", 1].success == (0.0 if noise else 1.0)


def test_attackers_that_learn_are_set_on_it(found):
    scores = found(["shared-paper", "embedding-paper"], (1, 5), head="mlp", users=120)
    assert scores["shared-paper", 5].success == pytest.approx(scores["embedding-paper", 5].success, abs=0.1)


def test_fedraps_state_is_in_no_tensor_of_the_recommenders(found):
    assert found(["shared", "shared-paper"], model="fedrap", head="mlp", users=60, clients=10) == {}
