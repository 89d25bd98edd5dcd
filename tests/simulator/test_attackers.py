from functools import partial

import numpy as np
import pytest

from simulator import attackers
from simulator.attackers import ATTACKERS
from simulator.errors import NotFiniteError, TooFewUsersError

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, -1], [120, 60, 20])


def features(strength, classes=2):
    return (RNG.normal(size=(200, 8)) + strength * (LABELS == 1)[:, None]).astype(np.float32)


attack = partial(attackers.attack, splits=4)


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    monkeypatch.setattr(attackers, "SHUFFLES", 6)


@pytest.mark.parametrize("name", ATTACKERS)
def test_what_can_be_read_is_read_and_the_null_is_chance(name):
    found, nothing = attack(features(2.0), LABELS, name), attack(features(0.0), LABELS, name)
    assert found.bacc > 0.9 > found.null_p95
    assert nothing.bacc < 0.62
    assert 0.5 <= nothing.null_mean <= nothing.null_p95 < 0.68


@pytest.mark.parametrize("name", ATTACKERS)
def test_an_attack_is_a_function_of_its_arguments(name):
    x = features(0.5)
    assert attack(x, LABELS, name, seed=1) == attack(x, LABELS, name, seed=1)
    assert attack(x, LABELS, name, seed=1) != attack(x, LABELS, name, seed=2)


def test_predictable_error_leaks_too():
    assert attackers._folded(np.array([0.2, 0.4]), 2) == pytest.approx(0.7)
    assert attackers._folded(np.array([0.2, 0.4]), 3) == pytest.approx(0.3)


def test_users_are_balanced_and_the_unknown_left_out():
    chosen = attackers._balanced(LABELS[LABELS >= 0], np.random.default_rng(0))
    assert np.bincount(LABELS[chosen]).tolist() == [60, 60]


@pytest.mark.parametrize("labels", [np.zeros(200, np.int64), np.repeat([0, 1], [195, 5])])
def test_too_few_users_of_a_class_are_refused(labels):
    with pytest.raises(TooFewUsersError, match="10 users"):
        attack(features(0), labels, "paper")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_state_that_diverged_is_refused_by_row(value):
    x = features(0)
    x[7, 3] = value
    with pytest.raises(NotFiniteError, match="row 7"):
        attack(x, LABELS, "paper")


def test_state_of_users_who_are_left_out_does_not_matter():
    x = features(1.0)
    expected = attack(x, LABELS, "paper")
    x[LABELS < 0] = np.nan
    assert attack(x, LABELS, "paper") == expected
