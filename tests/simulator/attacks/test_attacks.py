"""What each attack must reach by the algebra of what is uploaded, for every recommender and head."""

import numpy as np
import pytest

from simulator.audit.registry import ATTACKS, chosen
from simulator.errors import ConfigError
from tests.recommenders import LEAN

LABELS = [name for name, spec in ATTACKS.items() if spec.learns == "label"]


@pytest.mark.parametrize("model", LEAN)
@pytest.mark.parametrize("head", ["mlp", "vae"])
def test_heads_without_the_second_noise_give_the_label_away_at_once(found, model, head):
    scores = found(["idlg", "sign", "magnitude", "prior"], model=model, head=head, users=120)
    assert {name for name, _ in scores} == {"idlg", "sign", "magnitude", "prior"}
    for (name, _), score in scores.items():
        assert score.success >= (0.9 if name == "prior" else 1.0), name
        assert score.null_p95 < 0.75


def test_signs_are_right_as_often_as_the_noise_is_above_minus_one(found):
    once = found(["sign", "magnitude"], head="dsvae", users=2000, clients=600)
    assert once["sign", 1].low < 0.691 < once["sign", 1].high  # Phi(1/2)
    assert once["magnitude", 1].low < 0.760 < once["magnitude", 1].high  # Phi(2/sqrt(8))


def test_rounds_undo_the_noise(found):
    scores = found(["sign", "magnitude"], (1, 5, 20), head="dsvae", clients=80, users=300)
    for name in ("sign", "magnitude"):
        once, five, twenty = (scores[name, n].success for n in (1, 5, 20))
        assert once < five <= twenty
        assert twenty > 0.95


def test_ties_of_signs_are_broken_by_chance(found):
    score = found(["sign"], head="dsvae", variance=1e8, users=800, clients=300)["sign", 1]
    assert score.low < 0.5 < score.high


@pytest.mark.parametrize("model", LEAN)
def test_the_protected_state_is_read_whatever_the_head(found, model):
    assert found(["embedding"], model=model, head="dsvae")["embedding", 1].success == 1.0


def test_attackers_that_learn_are_set_on_what_was_read(found):
    scores = found(["embedding-paper"], (1, 5), head="mlp", users=120)
    assert {after for _, after in scores} == {1, 5}
    assert 0 <= scores["embedding-paper", 1].null_mean < 0.7


@pytest.mark.parametrize("head", ["mlp", "vae"])
def test_a_gate_is_seen_in_the_heads_error(found, head):
    # An untrained vae head is right or wrong by noise: both happen.
    assert found(["gate"], model="fedvae", head=head)["gate", 1].success > 0.95


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_the_gate_is_seen_exactly_where_the_head_has_a_bias(found, class_weights):
    assert found(["gate"], head="mlp", class_weights=class_weights)["gate", 1].success == 1.0


@pytest.mark.parametrize(
    ("model", "head"), [*(("fedvae", head) for head in ("mlp", "vae", "dsvae", "scalar")), ("fedgnn", "dsvae")]
)
def test_a_shared_encoder_shows_the_gate(found, model, head):
    scores = found(["gate-encoder", "gate"], model=model, head=head)
    assert scores["gate-encoder", 1].success == 1.0


def test_there_is_no_gate_to_see_where_there_is_none(found):
    assert found(["gate", "gate-encoder"], model="fedvae", objective="confusion") == {}
    assert ("gate-encoder", 1) not in found(["gate", "gate-encoder"], model="fedncf")


@pytest.mark.parametrize("model", LEAN)
@pytest.mark.parametrize("adversary", ["none", "dsvae"])
def test_interactions_are_in_what_is_done_to_items(found, model, adversary):
    scores = found(["rows", "pulls", "membership", "rows-recurring"], (1, 5), model=model, head=adversary)
    assert scores["rows", 1].success == 1.0
    assert scores["pulls", 1].success > 0.99
    assert scores["membership", 5].success > 0.99
    assert scores["membership", 5].null_mean < 0.75
    once, often = (scores["rows-recurring", n].success for n in (1, 5))
    assert often > 0.95
    assert (once == 1.0) is (model in ("fedvae", "fedgnn"))  # others draw negatives, which change


@pytest.mark.parametrize("name", LABELS)
def test_every_attack_on_the_label_runs_on_every_adversary(found, name):
    noise = {"adversary_clip_norm": 0.1, "noise_multiplier": 0.1} if name == "known-state" else {}
    score = found([name], head="scalar", protects="each", users=150, clients=12, **noise)[name, 1]
    assert score.chance == 0.5
    assert score.clients == 24


def test_nothing_is_read_from_several_steps_but_rows(found):
    scores = found(None, head="mlp", steps=2, users=80, clients=10)
    assert {name for name, _ in scores} == {"rows", "rows-recurring"}


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="there is no attack 'guess'; there is dlg"):
        chosen(["guess"])
    assert [spec.name for spec in chosen(["pulls", "dlg"])] == ["dlg", "pulls"]


def test_the_null_knows_nothing(found):
    score = found(["magnitude"], head="mlp", users=300, clients=100)["magnitude", 1]
    assert 0.45 < score.null_mean < 0.55 < score.null_p95 < 0.62
    assert np.isfinite(score.low)
