"""Scores against definitions, and intervals against their coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from simulator.attacks.aims import Learns
from simulator.audit import scores
from simulator.evaluation.attack_results import AttackResult, Figure


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(2, 4), st.integers(20, 60))
def test_labels_are_scored_by_balanced_accuracy(seed, classes, clients):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(classes, size=clients)])
    guess = rng.integers(classes, size=len(truth))
    score = scores.score(Learns.LABEL, guess, truth, classes, 0)
    assert score.success == pytest.approx(balanced_accuracy_score(truth, guess))
    assert score.low <= score.success <= score.high
    assert score.chance == 1 / classes
    assert score.null_mean <= score.null_p95


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(1, 500))
def test_an_interval_holds_the_share_and_shrinks(share, clients):
    low, high = scores.interval(share, clients)
    narrow = scores.interval(share, 4 * clients)
    assert 0 <= low <= share + 1e-12
    assert share <= high + 1e-12 <= 1 + 1e-12
    assert narrow[1] - narrow[0] <= high - low


def test_an_interval_covers():
    rng = np.random.default_rng(0)
    shares = rng.binomial(80, 0.7, 2000) / 80
    covered = np.mean([low <= 0.7 <= high for low, high in (scores.interval(share, 80) for share in shares)])
    assert 0.93 < covered < 0.975


def test_unbalanced_classes_count_as_fewer_clients():
    truth = np.array([0] * 90 + [1] * 10)
    even = np.array([0] * 50 + [1] * 50)
    wide, narrow = (scores.score(Learns.LABEL, labels, labels, 2, 0) for labels in (truth, even))
    assert wide.low < narrow.low


def test_items_are_scored_client_by_client():
    truth = np.array([[True, True, False, False], [True, False, False, False]])
    guess = np.array([[True, False, False, False], [True, True, False, False]])
    expected = ((0.5 + 1) / 2 + (1 + 2 / 3) / 2) / 2
    assert scores.score(Learns.RECORDED, guess, truth, 2, 0).success == pytest.approx(expected)


def test_membership_asks_for_an_item_of_each_kind():
    rng = np.random.default_rng(1)
    truth = rng.random((40, 30)) < 0.3
    truth[:, 0] = True
    truth[:, 1] = False
    assert scores.score(Learns.MEMBERSHIP, truth, truth, 2, 0).success == 1.0
    assert scores.score(Learns.MEMBERSHIP, ~truth, truth, 2, 0).success == 0.0
    everything = scores.score(Learns.MEMBERSHIP, np.ones_like(truth), truth, 2, 0)
    assert everything.success == everything.null_mean == 0.5


def test_what_is_popular_is_no_hint_of_membership():
    rng = np.random.default_rng(2)
    popularity = np.linspace(0.02, 0.9, 60)
    truth = rng.random((300, 60)) < popularity
    popular = np.tile(popularity > 0.5, (300, 1))
    items = scores.score(Learns.RECORDED, popular, truth, 2, 0).success
    asked = scores.score(Learns.MEMBERSHIP, popular, truth, 2, 0).success
    assert items > 0.6
    assert asked < items


def test_a_state_is_read_or_not():
    truth = np.random.default_rng(0).standard_normal((10, 5)).astype(np.float32)
    guess = truth.copy()
    guess[:4] *= 1.1
    score = scores.score(Learns.STATE, guess, truth, 2, 0)
    assert score.success == pytest.approx(0.6)
    assert score.null_mean < 0.2


def test_attackers_that_learn_find_what_is_there():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    features = (labels[:, None] + 0.1 * rng.standard_normal((80, 3))).astype(np.float32)
    score = scores.learned(features, labels, "paper", 2, 2, 0)
    assert score.success > 0.9
    assert score.null_p95 < 0.75
    assert score.clients == 80


@pytest.mark.parametrize(
    ("attacker", "splits", "tested"), [("strong", 1, 8), ("strong", 2, 40 / 3), ("strong", 6, 24), ("paper", 1, 32)]
)
def test_users_that_no_split_tests_do_not_narrow_an_interval(monkeypatch, draw, attacker, splits, tested):
    monkeypatch.setattr("simulator.evaluation.attackers.SHUFFLES", 1)
    features = draw.standard_normal((50, 2)).astype(np.float32)
    score = scores.learned(features, np.repeat([0, 1], [20, 30]), attacker, 2, splits, 0)
    assert (score.low, score.high) == pytest.approx(scores.interval(score.success, tested))
    assert score.clients == 40


@pytest.mark.parametrize("splits", [1, 2, 5, 10])
def test_an_interval_of_attackers_that_learn_covers(monkeypatch, draw, splits):
    """Of users of whom each is got right or not, whichever split tests them."""
    covered = []
    for _ in range(400):
        right = draw.random(200) < 0.65
        bacc = np.mean([right[draw.permutation(200)[:40]].mean() for _ in range(splits)])
        figure = Figure(float(bacc), 0.5, 0.5, 1.0)
        found = AttackResult(figure, figure, 0.0, 0.0, 100)
        monkeypatch.setattr("simulator.evaluation.attackers.attack", lambda *each, found=found, **how: found)
        score = scores.learned(np.zeros((200, 1), np.float32), np.arange(200) % 2, "strong", 2, splits, 0)
        covered.append(score.low <= 0.65 <= score.high)
    assert np.mean(covered) > 0.91
