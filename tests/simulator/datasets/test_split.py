import numpy as np
import pytest

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
    split = leave_one_out(dataset)
    for user, history in enumerate(dataset.histories()):
        for candidates in (split.validation_candidates[user], split.test_candidates[user]):
            assert len(set(candidates.tolist())) == 99
            assert not np.isin(candidates, history).any()
    assert (split.validation_candidates != split.test_candidates).any()
    np.testing.assert_array_equal(split.test_candidates, leave_one_out(dataset, "paper").test_candidates)


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
