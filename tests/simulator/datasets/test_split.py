import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.datasets import Dataset, synthetic
from simulator.datasets.split import leave_one_out
from simulator.errors import DatasetError


@pytest.fixture(scope="module")
def dataset():
    return synthetic.generate(80, 250, seed=3)


@pytest.mark.parametrize("kind", ["validation", "paper"])
def test_the_last_items_in_time_are_held_out(dataset, kind):
    split = leave_one_out(dataset, kind)
    for user, history in enumerate(dataset.histories()):
        assert split.test[user] == history[-1]
        held_out = 2 if kind == "validation" else 1
        np.testing.assert_array_equal(split.train[user], np.sort(history[:-held_out]))
        assert split.validation[user] == (history[-2] if kind == "validation" else -1)


def test_candidates_are_untouched_different_and_drawn_apart(dataset):
    split, everyone = leave_one_out(dataset), np.arange(80)
    for_validation, for_test = split.candidates(everyone)
    for user, history in enumerate(dataset.histories()):
        for candidates in (for_validation[user], for_test[user]):
            assert len(set(candidates.tolist())) == 99
            assert not np.isin(candidates, history).any()
    assert (for_validation != for_test).any()
    np.testing.assert_array_equal(for_test, leave_one_out(dataset, "paper").candidates(everyone)[1])


def test_candidates_of_some_users_are_those_that_they_have_among_all(dataset):
    split, some = leave_one_out(dataset), np.array([3, 17, 60])
    for drawn, of_all in zip(split.candidates(some), split.candidates(np.arange(80)), strict=True):
        np.testing.assert_array_equal(drawn, of_all[some])


@pytest.mark.parametrize("kind", ["validation", "paper"])
def test_the_split_of_some_users_has_their_items_and_candidates(dataset, kind):
    split, some = leave_one_out(dataset, kind), np.array([60, 3, 17])
    part, places = split.of(some), np.arange(3)
    for ours, all_of_them in ((part.test, split.test), (part.validation, split.validation)):
        np.testing.assert_array_equal(ours, all_of_them[some])
    for place, user in enumerate(some.tolist()):
        np.testing.assert_array_equal(part.seen(place), split.seen(user))
    for ours, all_of_them in zip(part.candidates(places), split.candidates(some), strict=True):
        np.testing.assert_array_equal(ours, all_of_them)
    np.testing.assert_array_equal(part.of(places[1:]).candidates(places[:2])[1], split.candidates(some[1:])[1])


def make(history, items=200):
    item = np.array(history)
    return Dataset("toy", ["ann"], [str(i) for i in range(items)], np.zeros(len(item), np.int64), item, {})


def test_a_repeated_item_counts_at_its_first_visit():
    split = leave_one_out(make([4, 7, 4, 9, 7, 1]))
    assert split.train[0].tolist() == [4, 7]
    assert (split.validation[0], split.test[0]) == (9, 1)


@pytest.mark.parametrize(
    ("history", "items", "remedy"),
    [([1, 2], 200, "--user-core 3"), ([5, 5, 5], 200, "--user-core 3"), (list(range(50)), 120, "raise --items")],
)
def test_too_little_is_refused_by_name(history, items, remedy):
    with pytest.raises(DatasetError, match=f"'ann'.*{remedy}"):
        leave_one_out(make(history, items))


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(lambda h: len(set(h)) > 2), min_size=1))
def test_any_histories_are_divided_as_one_user_at_a_time_would_be(histories):
    user = np.repeat(np.arange(len(histories)), [*map(len, histories)])
    names = [str(number) for number in range(len(histories))]
    dataset = Dataset("toy", names, [str(item) for item in range(200)], user, np.concatenate(histories), {})
    split = leave_one_out(dataset)
    assert [rows.tolist() for rows in dataset.histories()] == histories
    for number, history in enumerate(histories):
        different = list(dict.fromkeys(history))
        assert split.train[number].tolist() == sorted(different[:-2])
        assert [split.validation[number], split.test[number]] == different[-2:]
