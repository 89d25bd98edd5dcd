"""The first paragraph of a report."""

import pytest

from simulator.reporting import words
from tests.simulator.settings import make

RUN = {"round": 25, "users": 300, "items": 1200, "hr@10": 0.41, "ndcg@10": 0.2}
LEAKS = {"bacc_strong": 0.7, "bacc_null_p95_strong": 0.55, "p_holm": {"bacc_strong": 0.01}}
SAFE = {"bacc_strong": 0.54, "bacc_null_p95_strong": 0.55}
CONFIG = make(head="dsvae", rounds=40)


def test_it_says_what_was_trained_and_how_well_beside_a_random_order():
    text = words.summary(CONFIG, RUN | SAFE | {"intervals": {"ndcg@10": [0.15, 0.25]}})
    assert text.startswith(
        "FedNCF was trained on ml-100k (300 users, 1,200 items) for 40 rounds, with adversaries (dsvae) that unlearn "
        "gender, and the state after round 25 is measured."
    )
    assert "41% of the users in the first 10 (a random order: 10%)" in text
    assert "NDCG@10 is 0.200, 95% interval 0.150 to 0.250 over users (a random order: 0.045)" in text


@pytest.mark.parametrize(
    ("attacks", "verdict"),
    [
        (LEAKS, "So the state leaks it."),
        (SAFE, "So no attack on the state reads more than chance gives."),
        (LEAKS | {"p_holm": {"bacc_strong": 0.2}}, "not beyond doubt where several attacks are made (p 0.20 by Holm)"),
    ],
)
def test_a_leak_stands_beside_its_null(attacks, verdict):
    text = words.summary(CONFIG, RUN | attacks)
    assert f"{attacks['bacc_strong']:.3f}" in text
    assert "0.550 on shuffled labels" in text
    assert verdict in text


def test_the_attack_that_exceeds_its_null_by_most_is_named_and_not_the_one_with_the_largest_figure():
    metrics = RUN | {"bacc_paper": 0.8, "bacc_null_p95_paper": 0.79} | LEAKS
    assert words.strongest(metrics).attack == "the strong attacker on the embedding"


@pytest.mark.parametrize(
    ("original", "says"),
    [
        (LEAKS, "The Original leaks more: "),
        ({"bacc_strong": 0.6, "bacc_null_p95_strong": 0.55}, "The Original leaks more: "),
        ({"bacc_strong": 0.5, "bacc_null_p95_strong": 0.55}, "The Original leaks no more than chance either: "),
    ],
)
def test_the_original_is_compared_by_what_exceeds_the_null(original, says):
    assert says in words.summary(CONFIG, RUN | SAFE, RUN | original)
    assert "The Original leaks less: " in words.summary(CONFIG, RUN | LEAKS, RUN | SAFE)


def test_without_attacks_or_an_original_nothing_is_claimed():
    unknown = words.summary(CONFIG, RUN | {"attacks": {"asked": ["strong"], "missing": ["strong"]}})
    assert unknown.endswith("It was not attacked, so nothing is known of what it leaks.")
    assert "Whether the Original leaks less is not known from this run alone" in words.summary(CONFIG, RUN | SAFE)
    alone = words.summary(make(head="none"), RUN | SAFE)
    assert "it is an Original" in alone
    assert "Whether the Original" not in alone


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"erasure": "transport", "head": "none"}, "gender erased from the state after it (transport)"),
        ({"noise": 1.0, "head": "none"}, "with noise that is to hide the user"),
        ({"head": "dsvae", "sums": "grid"}, "and with grid sums of contributions"),
    ],
)
def test_every_way_to_unlearn_is_named(settings, says):
    assert says in words.summary(make(**settings), RUN)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"floor": 0.3}, "with a floor of noise on the state (0.3 standard deviations)"),
        ({"plan.matchings": "all", "plain_statistics": True}, "with distribution matching of gender"),
    ],
)
def test_matching_and_a_floor_unlearn(settings, says):
    config = make(head="none", rounds=40, **settings)
    assert not words.is_original(config)
    text = words.summary(config, RUN | SAFE)
    assert says in text
    assert "an Original" not in text
