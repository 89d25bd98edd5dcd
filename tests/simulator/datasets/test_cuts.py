import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.datasets import Attribute, Dataset, cuts, synthetic
from simulator.errors import ConfigError, EmptyCoreError, OneClassError

SHAPE = (7, 6)
PAIRS = st.lists(st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1)), max_size=40)
CORES = st.tuples(st.integers(1, 4), st.integers(1, 4))


def core_of(pairs, cores):
    user, item = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    return cuts.k_core(user, item, SHAPE, cores)


def degrees(pairs, users, items):
    remaining = {pair for pair in pairs if users[pair[0]] and items[pair[1]]}
    return [[sum(pair[side] == row for pair in remaining) for row in range(SHAPE[side])] for side in (0, 1)]


def enough(pairs, users, items, cores):
    by_user, by_item = degrees(pairs, users, items)
    return all(d >= cores[0] for d, inside in zip(by_user, users, strict=True) if inside) and all(
        d >= cores[1] for d, inside in zip(by_item, items, strict=True) if inside
    )


@given(PAIRS, CORES)
def test_everyone_in_a_core_has_enough_and_a_second_cut_removes_nothing(pairs, cores):
    users, items = core_of(pairs, cores)
    assert enough(pairs, users, items, cores)
    remaining = [pair for pair in pairs if users[pair[0]] and items[pair[1]]]
    again = core_of(remaining, cores)
    assert (again[0] == users).all()
    assert (again[1] == items).all()


@given(PAIRS, CORES, st.lists(st.booleans(), min_size=sum(SHAPE), max_size=sum(SHAPE)))
def test_a_core_contains_every_set_that_holds_together(pairs, cores, chosen):
    # Thinned until it holds together, in the plainest way: one offender after the other.
    users, items = np.array(chosen[: SHAPE[0]]), np.array(chosen[SHAPE[0] :])
    while not enough(pairs, users, items, cores):
        by_user, by_item = degrees(pairs, users, items)
        offenders = [(users, row) for row in range(SHAPE[0]) if users[row] and by_user[row] < cores[0]]
        offenders += [(items, row) for row in range(SHAPE[1]) if items[row] and by_item[row] < cores[1]]
        mask, row = offenders[0]
        mask[row] = False
    largest = core_of(pairs, cores)
    assert (largest[0] | ~users).all()
    assert (largest[1] | ~items).all()


@given(PAIRS, CORES, st.randoms(use_true_random=False))
def test_a_core_depends_neither_on_order_nor_on_repeats(pairs, cores, random):
    shuffled = [*pairs, *pairs[:5]]
    random.shuffle(shuffled)
    for mask, after_shuffling in zip(core_of(pairs, cores), core_of(shuffled, cores), strict=True):
        assert (mask == after_shuffling).all()


def test_a_cut_keeps_each_history_in_order_and_the_labels_with_their_users():
    dataset = synthetic.generate(80, 200, seed=3)
    cut = cuts.cut_to_core(dataset, 20, 8)
    assert 0 < len(cut.users) < 80
    labels = dict(zip(dataset.users, dataset.attributes["gender"].labels, strict=True))
    before = dict(zip(dataset.users, dataset.histories(), strict=True))
    for user, history, label in zip(cut.users, cut.histories(), cut.attributes["gender"].labels, strict=True):
        left = [dataset.items[item] for item in before[user] if dataset.items[item] in set(cut.items)]
        assert [cut.items[item] for item in history] == left
        assert len(left) >= 20
        assert labels[user] == label


def test_an_empty_core_is_explained():
    with pytest.raises(EmptyCoreError, match="500 items for each user"):
        cuts.cut_to_core(synthetic.generate(50, 200), 500, 1)


def test_balancing_keeps_as_many_of_each_class_and_no_unknown():
    dataset = synthetic.generate(200, 200, minority=0.2, seed=1)
    balanced = cuts.balance(dataset, "gender")
    counts = np.bincount(balanced.attributes["gender"].labels)
    assert counts.tolist() == [np.bincount(dataset.attributes["gender"].labels).min()] * 2
    assert set(np.unique(balanced.item)) == set(range(len(balanced.items)))
    assert balanced.fingerprint() == cuts.balance(dataset, "gender").fingerprint() != dataset.fingerprint()


@given(st.floats(0.05, 0.25))
def test_the_rarest_class_is_cut_to_its_share_and_nobody_else_is_touched(share):
    dataset = synthetic.generate(200, 200, minority=0.3, seed=1)
    cut = cuts.thin(dataset, "gender", share)
    before, after = (dict(zip(data.users, data.attributes["gender"].labels, strict=True)) for data in (dataset, cut))
    assert after.items() <= before.items()
    assert {user for user, label in before.items() if label == 0} == {u for u, label in after.items() if label == 0}
    women = sum(after.values())
    assert women / len(after) <= share < (women + 1) / (len(after) + 1)
    assert cut.fingerprint() == cuts.thin(dataset, "gender", share).fingerprint()


@pytest.mark.parametrize("share", [0.001, 0.45])
def test_a_class_cannot_be_cut_to_nothing_nor_to_more_than_it_is(share):
    with pytest.raises(ConfigError, match="the rarest class of gender"):
        cuts.thin(synthetic.generate(200, 200, minority=0.3, seed=1), "gender", share)


def test_what_cannot_be_balanced_is_explained():
    dataset = synthetic.generate(50, 200)
    with pytest.raises(ConfigError, match="no attribute 'age'"):
        cuts.balance(dataset, "age")
    alone = {"gender": Attribute(("M", "F"), np.zeros(50, np.int64))}
    women = Dataset("toy", dataset.users, dataset.items, dataset.user, dataset.item, alone)
    with pytest.raises(OneClassError, match="a class has no users"):
        cuts.balance(women, "gender")
