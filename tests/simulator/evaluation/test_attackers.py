from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import NotFiniteError, TooFewUsersError
from simulator.evaluation import attacked_users, attackers
from simulator.evaluation.attack_results import Scores
from simulator.evaluation.attackers import ATTACKERS
from simulator.evaluation.classifiers.strong import LINEAR

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, -1], [120, 60, 20])


def features(strength):
    return (RNG.normal(size=(200, 8)) + strength * (LABELS == 1)[:, None]).astype(np.float32)


def linear(x):
    return x[:, 0] > x[:, 1]


def radial(x):
    return (x[:, :3] ** 2).sum(1) > 2.4


def exclusive(x):
    return x[:, 0] * x[:, 1] > 0


attack = partial(attackers.attack, splits=2)


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    monkeypatch.setattr(attackers, "SHUFFLES", 2)


@pytest.mark.parametrize("name", ATTACKERS)
def test_what_can_be_read_is_read_and_the_null_is_chance(monkeypatch, name):
    monkeypatch.setattr(attackers, "SHUFFLES", 4)
    signal, noise = (attack(features(strength), LABELS, name, splits=3) for strength in (2.0, 0.0))
    assert min(signal.bacc.value, signal.auc.value, signal.macro_f1) > 0.9
    assert max(signal.bacc.null_p95, signal.auc.null_p95) < 0.9
    assert signal.users == 180
    for figure in (noise.bacc, noise.auc):
        assert figure.value < 0.65
        assert 0.5 <= figure.null_mean <= figure.null_p95 < 0.7


@pytest.mark.parametrize("signal", [linear, radial, exclusive])
def test_the_strong_attacker_finds_every_kind_of_signal(signal):
    x = RNG.normal(size=(500, 4)) * [1, 1, 1, 1000]  # on raw features the last would drown the others
    result = attack(x.astype(np.float32), signal(x).astype(np.int64), "strong")
    assert result.bacc.value > 0.8
    assert sum(result.families.values()) == 2


def test_only_what_is_not_linear_needs_more_than_regression():
    x = RNG.normal(size=(500, 4)).astype(np.float32)
    chosen = [set(attack(x, s(x).astype(np.int64), "strong", splits=3).families) for s in (linear, exclusive)]
    linear_families = {family.name for family in LINEAR}
    assert linear_families & chosen[0]
    assert not linear_families & chosen[1]
    assert set.union(*chosen) <= set(ATTACKERS["strong"].families)


def test_the_largest_family_is_one_that_reads_most(monkeypatch):
    monkeypatch.setattr(attackers, "SHUFFLES", 4)
    signal, noise = (attack(features(strength), LABELS, "strong", splits=3) for strength in (2.0, 0.0))
    assert signal.largest.bacc.value >= signal.bacc.value - 0.02
    for figure in (signal.largest.bacc, signal.largest.auc):
        assert figure.value > 0.9 > figure.null_p95
    assert noise.largest.bacc.null_p95 >= noise.largest.bacc.null_mean >= noise.bacc.null_mean
    for result in (signal, noise):
        assert result.largest.bacc.value == max(result.largest.bacc_of.values())
        assert result.largest.bacc_of[result.largest.name] == result.largest.bacc.value
        assert result.largest.auc.value == max(result.largest.auc_of.values())
    assert attack(features(2.0), LABELS, "paper").largest is None


def test_an_attacker_of_linear_families_has_no_other():
    result = attack(features(2.0), LABELS, attackers.LIGHT)
    assert set(result.largest.bacc_of) == {family.name for family in LINEAR}
    assert result.largest.bacc.value > 0.9


def test_a_family_that_is_reliably_wrong_is_the_largest():
    """On permuted labels all families are at chance; on the attack's own the second is wrong."""
    rng = np.random.default_rng(0)
    baccs = 0.5 + 0.02 * rng.normal(size=(4 + 2 * 4, 7))
    baccs[:4, 1] = 0.3
    names = [f"family-{number}" for number in range(7)]
    scores = Scores(baccs, baccs, baccs[:, 0], np.zeros(12, np.int64))
    largest = scores.result(names, 100, 4, 2, 2).largest
    assert largest.name == names[1]
    assert largest.bacc.value == pytest.approx(0.7)
    assert largest.bacc.null_p95 < 0.6
    assert scores.result(names, 100, 4, 2, 3).largest.bacc.value < 0.55  # not folded


def test_three_classes_are_distinguished_and_not_folded():
    labels = np.repeat([0, 1, 2], 60)
    x = np.random.default_rng(0).normal(size=(180, 6)).astype(np.float32)
    noise = attack(x, labels, "strong", classes=3)
    x[:, 0] += 4 * labels
    signal = attack(x, labels, "strong", classes=3)
    assert min(signal.bacc.value, signal.macro_f1) > 0.85 > signal.auc.null_p95
    assert signal.auc.value > 0.8
    assert max(noise.bacc.value, noise.bacc.null_mean) < 0.5


@pytest.mark.parametrize("name", ATTACKERS)
def test_an_attack_is_a_function_of_its_arguments(name):
    x = features(0.5)
    assert attack(x, LABELS, name, seed=1) == attack(x, LABELS, name, seed=1)
    assert attack(x, LABELS, name, seed=1) != attack(x, LABELS, name, seed=2)


@pytest.mark.parametrize("name", ATTACKERS)
def test_any_number_of_workers_finds_the_same(name):
    x = features(0.5)
    few = partial(attack, x, LABELS, name, splits=1)
    assert few(workers=2) == few(workers=1)


@pytest.mark.parametrize("name", ATTACKERS)
def test_any_batches_find_the_same(name, monkeypatch):
    x = features(0.5)
    expected = attack(x, LABELS, name)
    monkeypatch.setattr(attackers, "_NUMBERS", 1)
    assert attack(x, LABELS, name) == expected


def test_a_permutation_has_fewer_splits_than_the_attack(monkeypatch):
    scored = []

    def of_nothing(features, splits, *how):
        scored.extend(splits)
        half = np.full((len(splits), 1), 0.5)
        return Scores(half, half, half[:, 0], np.zeros(len(splits), np.int64))

    monkeypatch.setattr(attackers, "_scores", of_nothing)
    attackers.attack(features(0), LABELS, "paper", splits=30)
    assert len(scored) == 30 + 2 * attackers.NULL_SPLITS
    assert sum(np.array_equal(labels, LABELS[LABELS >= 0]) for labels, _ in scored) == 30


def test_of_many_users_a_sample_is_attacked(monkeypatch):
    monkeypatch.setattr(attacked_users, "MOST_USERS", 100)
    sampled = [attacked_users.sample(LABELS, 2, seed) for seed in (1, 1, 2)]
    assert np.bincount(LABELS[sampled[0]]).tolist() == [50, 50]
    assert np.array_equal(sampled[0], sampled[1])
    assert not np.array_equal(sampled[0], sampled[2])
    x = features(2.0)
    result = attack(x, LABELS, "paper")
    x[np.setdiff1d(np.arange(200), attacked_users.sample(LABELS, 2, 0))] = np.nan
    assert attack(x, LABELS, "paper") == result
    assert result.users == 100


def test_a_sample_keeps_rare_classes_whole(monkeypatch):
    monkeypatch.setattr(attacked_users, "MOST_USERS", 150)
    assert np.bincount(LABELS[attacked_users.sample(LABELS, 2, 0)]).tolist() == [75, 60]


def test_the_null_leaves_the_figure_beside_it_alone(monkeypatch):
    x = features(0.5)
    before = attack(x, LABELS, "paper")
    monkeypatch.setattr(attackers, "SHUFFLES", 3)
    after = attack(x, LABELS, "paper")
    assert (before.bacc.value, before.std, before.macro_f1) == (after.bacc.value, after.std, after.macro_f1)
    assert before.bacc.null_mean != after.bacc.null_mean


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    seed=st.integers(0, 2**31 - 1),
)
def test_users_are_balanced(counts, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    chosen = attacked_users.balanced(labels, np.random.default_rng(seed))
    assert np.bincount(labels[chosen]).tolist() == [min(counts)] * len(counts)
    assert len(set(chosen.tolist())) == len(chosen)


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


@pytest.mark.parametrize("name", ATTACKERS)
def test_state_of_users_who_are_left_out_does_not_matter(name):
    x = features(1.0)
    expected = attack(x, LABELS, name)
    x[LABELS < 0] = np.nan
    assert attack(x, LABELS, name) == expected


def test_shrinking_the_direction_of_an_attribute_does_not_hide_it_from_the_strong_attacker():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 250)
    x = rng.normal(size=(500, 30))
    x[:, 0] = 4 * labels
    shrunk = x * [0.01, *[1.0] * 29] @ np.linalg.qr(rng.normal(size=(30, 30)))[0]
    result = attack(shrunk.astype(np.float32), labels, "strong")
    assert result.bacc.value > 0.95
    assert all(name.startswith("whitened_") for name in result.families)


@given(st.integers(0, 2**31 - 1), st.integers(25, 90))
def test_of_a_group_some_are_tested_and_nobody_is_learned_from_and_tested(seed, count):
    labels = np.repeat([0, 1], [120, 60])
    tested = np.zeros(len(labels), np.bool_)
    tested[np.random.default_rng(seed).permutation(60)[: count // 2]] = tested[150 : 150 + count // 3] = True
    train, test = attacked_users.divided(labels, seed, 0.8, tested)
    assert tested[test].all()
    assert not set(train.tolist()) & set(test.tolist())
    for part in (train, test):
        assert (np.bincount(labels[part]) == len(part) / 2).all()
    drawn = attacked_users.permuted(labels, np.random.default_rng(seed), tested)
    assert np.bincount(drawn[tested]).tolist() == np.bincount(labels[tested]).tolist()
    assert np.bincount(drawn).tolist() == [120, 60]


def test_a_group_is_read_by_what_its_own_state_tells():
    told = np.arange(200) % 2 == 0
    x = features(0.0)
    x[told] += 3 * (LABELS[told] == 1)[:, None]
    inside, outside = (attack(x, LABELS, "linear", splits=6, tested=group).largest for group in (told, ~told))
    assert inside.bacc.value > 0.8
    assert outside.bacc.value < 0.7


def test_too_few_users_of_a_group_are_not_attacked():
    with pytest.raises(TooFewUsersError):
        attack(features(0.0), LABELS, "linear", tested=np.arange(200) < 125)
