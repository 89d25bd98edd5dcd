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


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        ("map_gaps", "Whoever holds what the unlearning has published reads gender beyond chance: a guess by the gaps"),
        (
            "top50",
            "Whoever sees what is recommended reads gender beyond chance: a linear attacker on 50 recommendations",
        ),
    ],
)
def test_who_reads_more_than_private_state_gives_is_named_beside_a_state_that_is_safe(attack, says):
    text = words.summary(CONFIG, RUN | SAFE | {f"bacc_{attack}": 1.0, f"bacc_null_p95_{attack}": 0.6})
    assert "So no attack on the state reads more than chance gives." in text
    assert f"{says}" in text
    assert "reaches 1.000, with a null of 0.600." in text
    less = words.summary(CONFIG, RUN | SAFE | {f"bacc_{attack}": 0.5, f"bacc_null_p95_{attack}": 0.6})
    assert "Whoever" not in less


def test_where_attacks_are_missing_nothing_is_called_safe():
    mark = {
        "attacks": {"asked": ["paper", "paper_all", "strong", "strong_all"], "missing": ["paper_all", "strong_all"]}
    }
    text = words.summary(CONFIG, RUN | SAFE | mark)
    assert "So of the attacks on the state that were made, none reads more than chance gives." in text
    assert "Of 4 attacks 2 were not made, and nothing is known of what they would read." in text
    assert "no attack on the state" not in text


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
        ({"floor": 0.3, "head": "none"}, "with a floor of noise on the state (0.3 standard deviations)"),
        ({"noise": 1.0, "head": "none"}, "with noise that is to hide the user"),
        ({"head": "dsvae", "sums": "grid"}, "and with grid sums of contributions"),
        ({"head": "none", "plan.matchings": "all", "plain_statistics": True}, "with distribution matching of gender"),
    ],
)
def test_every_way_to_unlearn_is_named(settings, says):
    config = make(**settings)
    text = words.summary(config, RUN)
    assert says in text
    assert not words.is_original(config)
    assert "it is an Original" not in text


def test_a_title_names_the_matching():
    matched = make(**{"head": "none", "plan.matchings": "all", "plain_statistics": True})
    assert words.label(matched) == "adversary: none, distribution matching"
    assert words.label(CONFIG) == "adversary: dsvae"
