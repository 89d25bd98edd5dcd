"""Ratings of data sets: how they are read, and what a plan's weights make of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.interactions import KINDS
from client_sdk.weights import Weights
from export.plan.planfile import complete
from simulator.datasets import Dataset
from simulator.datasets.feedback import of_interactions, weigh
from simulator.datasets.split import leave_one_out
from simulator.errors import DatasetError, DatasetFormatError
from simulator.experiment import run_data

PLAN = Weights(view=1, like=1, purchase=1, rating=2, lowest_rating=3, full_rating=5, app_weights=False)


def rated(stars):
    """A user who rates one item after another, and two others, so that there are candidates."""
    visits = pd.DataFrame(
        {
            "user_id": ["ada"] * len(stars) + ["bob"] * 110 + ["eve"] * 110,
            "item_id": [f"item-{n}" for n in range(len(stars))] + [f"other-{n}" for n in range(220)],
            "timestamp": range(len(stars) + 220),
            "stars": [*stars, *[5] * 220],
        }
    )
    return Dataset.from_frames(visits.sample(frac=1, random_state=3), rating_column="stars")


def items(dataset, rows):
    return [dataset.items[row] for row in np.asarray(rows).tolist()]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 4)), max_size=20))
def test_an_item_has_its_largest_weight_and_the_place_of_its_first_positive(history):
    rows = np.array([row for row, _, _ in history], np.int64)
    stars = np.array([stars for _, stars, _ in history], np.float32)
    kinds = np.array([kind for _, _, kind in history], np.int8)
    weighted = weigh(rows, of_interactions(len(rows), stars, kinds, PLAN))
    weights = []
    for row, given_stars, kind in history:
        if KINDS[kind] == "dislike":
            weights = [(other, weight) for other, weight in weights if other != row]
        else:
            of_rating = 2 * min(given_stars / 5, 1) if given_stars >= 3 else 0
            weights.append((row, of_rating if KINDS[kind] == "rating" else 1))
    first = list(dict.fromkeys(row for row, weight in weights if weight > 0))
    assert list(weighted.positives) == first
    for row in first:
        assert weighted.positives[row] == pytest.approx(max(weight for other, weight in weights if other == row))
    assert weighted.others.tolist() == sorted({row for row, _, _ in history} - set(first))


def test_ratings_follow_their_interactions_through_order_and_cuts():
    dataset = rated([1, 2, 3, 4, 5])
    stars = dict(zip(items(dataset, dataset.item), dataset.ratings.tolist(), strict=True))
    assert [stars[f"item-{n}"] for n in range(5)] == [1, 2, 3, 4, 5]
    cut = dataset.select(np.array([user == "ada" for user in dataset.users]), np.ones(len(dataset.items), np.bool_))
    assert cut.ratings.tolist() == [1, 2, 3, 4, 5]


def test_kinds_are_read_from_their_column_and_others_are_refused():
    visits = pd.DataFrame(
        {"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "did": ["view", "purchase", "dislike"]}
    )
    dataset = Dataset.from_frames(visits, kind_column="did")
    assert [KINDS[kind] for kind in dataset.kinds.tolist()] == ["view", "purchase", "dislike"]
    first, second = dataset.weighted(replace(PLAN, purchase=3))
    assert first.positives == {0: 1, 1: 3}
    assert (second.positives, second.others.tolist()) == ({}, [0])
    visits.loc[1, "did"] = "bought"
    with pytest.raises(DatasetFormatError, match="'bought' is not one of view, like"):
        Dataset.from_frames(visits, kind_column="did")


def test_only_positives_are_trained_on_and_held_out_and_the_rest_is_seen():
    dataset = rated([5, 1, 4, 2, 3, 5, 1])
    split = leave_one_out(dataset, weights=PLAN)
    ada = list(dataset.users).index("ada")
    assert items(dataset, [split.validation[ada], split.test[ada]]) == ["item-4", "item-5"]
    assert sorted(items(dataset, split.train[ada])) == ["item-0", "item-2"]
    weights = dict(zip(items(dataset, split.train[ada]), split.weights[ada].tolist(), strict=True))
    assert weights == pytest.approx({"item-0": 2.0, "item-2": 1.6})
    assert sorted(items(dataset, split.others[ada])) == ["item-1", "item-3", "item-6"]
    assert sorted(items(dataset, split.seen(ada))) == ["item-0", "item-1", "item-2", "item-3", "item-6"]
    touched = {f"item-{n}" for n in range(7)}
    assert not touched & set(items(dataset, np.concatenate(split.candidates(np.array([ada]))).ravel()))


def test_weights_of_1_split_as_no_weights_do():
    dataset = rated([5, 1, 4, 2, 3])
    plain = leave_one_out(dataset)
    ones = leave_one_out(dataset, weights=Weights(1, 1, 1, 1, 0, 0, False))
    assert plain.weights is None
    everyone = np.arange(len(dataset.users))
    for name in ("validation", "test"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(ones, name))
    np.testing.assert_array_equal(plain.candidates(everyone), ones.candidates(everyone))
    for before, after, weights in zip(plain.train, ones.train, ones.weights, strict=True):
        np.testing.assert_array_equal(before, after)
        assert (weights == 1).all()


def test_users_with_too_few_positives_are_left_out_of_a_run_with_a_note():
    dataset = rated([5, 1, 4, 1, 1])
    plan = complete({"interactions.lowest_rating": 3}, "fedncf")
    kept = run_data.with_positives(dataset, plan, "validation")
    assert sorted(kept.users) == ["bob", "eve"]
    assert kept.notes[-1] == "1 users with fewer than 3 positives by the plan are left out"
    assert run_data.with_positives(dataset, plan, "paper") is dataset
    assert run_data.with_positives(dataset, complete({}, "fedncf"), "validation") is dataset
    with pytest.raises(DatasetError, match="no user has 3 positives"):
        run_data.with_positives(dataset, complete({"interactions.lowest_rating": 6}, "fedncf"), "validation")


def test_a_user_with_too_few_positives_is_refused():
    with pytest.raises(DatasetError, match="user 'ada' has 2 items"):
        leave_one_out(rated([5, 1, 4, 1, 1]), weights=PLAN)
