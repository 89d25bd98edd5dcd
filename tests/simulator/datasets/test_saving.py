from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.interactions import KINDS
from client_sdk.weights import Weights
from simulator.config.own_files import OwnFiles
from simulator.datasets import Attribute, Dataset, load, synthetic
from simulator.errors import ConfigError, DatasetExistsError, DatasetFormatError, SimulatorError
from tests.simulator.datasets.own import CALM, read

ODD = st.sampled_from(
    ["user_id", "item_id", "a,b", "", " ", " x", "\t", "a\nb", "\r", "\0", "\ud800", "none", "NaN", ":token"]
)
TEXT = ODD | st.text(max_size=3)


@st.composite
def attributes(draw, users):
    classes = tuple(draw(st.lists(TEXT, max_size=4)))
    labels = draw(st.lists(st.integers(-1, len(classes) - 1), min_size=users, max_size=users))
    return Attribute(classes, np.array(labels, np.int64))


@st.composite
def datasets(draw):
    """Data sets with anything for a text."""
    users, items = draw(st.lists(TEXT, min_size=1, max_size=4)), draw(st.lists(TEXT, min_size=1, max_size=4))
    pairs = draw(st.lists(st.tuples(st.integers(0, len(users) - 1), st.integers(0, len(items) - 1)), max_size=8))
    user, item = np.array(sorted(pairs, key=lambda pair: pair[0]), np.int64).reshape(-1, 2).T
    columns = draw(st.dictionaries(TEXT, attributes(len(users)), max_size=2))
    ratings, kinds = (
        draw(st.none() | st.lists(each, min_size=len(pairs), max_size=len(pairs)).map(partial(np.array, dtype=kind)))
        for each, kind in ((st.floats(width=32), np.float32), (st.integers(-1, len(KINDS)), np.int8))
    )
    return Dataset("odd", users, items, user, item, columns, ratings=ratings, kinds=kinds)


def history(dataset):
    return {
        user: [dataset.items[row] for row in rows]
        for user, rows in zip(dataset.users, dataset.histories(), strict=True)
    }


def known(dataset):
    """The classes of each attribute in order, and the class of each user with interactions."""
    users = [(row, dataset.users[row]) for row in np.unique(dataset.user)]
    return {
        name: (column.classes, {user: (*column.classes, "")[column.labels[row]] for row, user in users})
        for name, column in dataset.attributes.items()
    }


@settings(CALM, max_examples=300)
@given(datasets())
def test_all_that_can_be_saved_is_read_as_the_same_data(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("saved")
    try:
        dataset.save(folder / "mine")
    except DatasetFormatError:
        assert list(folder.iterdir()) == []
        return
    again = load("mine", folder)
    assert history(again) == {user: items for user, items in history(dataset).items() if items}
    assert known(again) == known(dataset)
    again.save(folder / "again")
    assert load("again", folder).fingerprint() == again.fingerprint()


@st.composite
def weighed(draw):
    """Interactions with ratings, kinds or both."""
    pairs = sorted(draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=8)))
    user, item = np.array(pairs, np.int64).T
    least = [draw(st.booleans()), draw(st.booleans())]
    ratings = draw(st.lists(st.floats(0, 1e6, width=32), **size(pairs)))
    kinds = draw(st.lists(st.integers(0, len(KINDS) - 1), **size(pairs)))
    columns = (np.array(ratings, np.float32), np.array(kinds, np.int8))
    of_each = [column if given else None for column, given in zip(columns, least, strict=True)]
    return Dataset("mine", list("abc"), list("wxyz"), user, item, {}, ratings=of_each[0], kinds=of_each[1])


def size(entries):
    return {"min_size": len(entries), "max_size": len(entries)}


PLAN = Weights(view=1, like=2, purchase=3, rating=2, lowest_rating=3, full_rating=5, app_weights=False)


@settings(CALM, max_examples=100)
@given(weighed())
def test_ratings_and_kinds_are_read_again(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("saved")
    dataset.save(folder / "mine")
    named = {
        "rating_column": "none" if dataset.ratings is None else "rating",
        "kind_column": "none" if dataset.kinds is None else "kind",
    }
    again = load("mine", folder, settings=OwnFiles.of(**named))
    for name in ("ratings", "kinds"):
        before, after = getattr(dataset, name), getattr(again, name)
        assert (before is None) == (after is None)
        assert before is None or (before == after).all()
    assert positives(again) == {user: items for user, items in positives(dataset).items() if user in again.users}


def positives(dataset):
    """The weight of each user's items, as training takes them."""
    return {
        user: {dataset.items[row]: weight for row, weight in weighted.positives.items()}
        for user, weighted in zip(dataset.users, dataset.weighted(PLAN), strict=True)
    }


def test_a_saved_data_set_has_the_same_histories_and_classes(tmp_path):
    dataset = synthetic.generate(40, 100, seed=3)
    dataset.save(tmp_path / "data/mine")
    again = load("mine", tmp_path / "data")
    assert (history(again), known(again)) == (history(dataset), known(dataset))
    with pytest.raises(DatasetExistsError):
        dataset.save(tmp_path / "data/mine")
    with pytest.raises(ConfigError, match="synthetic is the name of the data set that is generated"):
        dataset.save(tmp_path / "data/synthetic")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine"]


def one(user="u", item="i", name="mood", classes=("good",)):
    rows = np.zeros(1, np.int64)
    return Dataset("one", [user], [item], rows, rows, {name: Attribute(tuple(classes), rows)})


@pytest.mark.parametrize(
    ("dataset", "text"),
    [
        (one(item="a\tb"), "item 'a\\\\tb' has a tab"),
        (one(user="\ud800"), "user '.*' has a tab, a line break or another character"),
        (one(user=" "), "user ' ' is empty"),
        (one(name=""), "attribute '' has no name"),
        (one(name="user_id"), "attribute 'user_id' has the name of the users' column"),
        (one(name="a,b"), "attribute 'a,b' has a comma"),
        (one(name="a\nb"), "attribute 'a\\\\nb' has a tab"),
        (one(classes=["good", "none"]), "class of 'mood' 'none' would be read as another value"),
        (one(classes=["good", "good"]), "class of 'mood' 'good' is listed twice"),
        (one(classes=map(str, range(51))), "attribute 'mood' has 51 classes, and not 1 to 50"),
        (replace(one(), ratings=np.full(1, np.nan, np.float32)), "a rating is not a finite number from 0 on"),
        (replace(one(), kinds=np.full(1, 9, np.int8)), "a kind is not the number of one of view, like"),
        (one().select(np.ones(1, bool), np.zeros(1, bool)), "one has no interactions"),
    ],
)
def test_what_would_be_read_as_other_data_is_not_saved(tmp_path, dataset, text):
    with pytest.raises(DatasetFormatError, match=text):
        dataset.save(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def listed(tmp_path, *lines, user=("user_id:token\tage:token\tyears:float", "u\told\t70", "v\tyoung\t7"), **named):
    folder = tmp_path / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "shop.classes").write_text("\n".join(["attribute:token\tclass:token", *lines]))
    return read(tmp_path, user=user, **named).figures()["attributes"]


def test_listed_classes_have_their_order_and_need_no_users(tmp_path):
    lines = ["age\tYoung", "age\tyoung", "age\told", "age\tancient"]
    assert listed(tmp_path, *lines) == {"age": {"Young": 0, "young": 1, "old": 1, "ancient": 0}}
    assert listed(tmp_path, *lines, fold_case=True) == {"age": {"young": 1, "old": 1, "ancient": 0}}


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["age\told"], "age 'young' is not among the classes that are listed: old"),
        (["mood\tgood"], r"shop\.classes, line 2: attribute 'mood' is no column of shop\.user"),
        (["years\told"], r"shop\.classes, line 2: attribute 'years' is no column of shop\.user whose type is token"),
        (["age\told", "age\tNA"], r"shop\.classes, line 3: class 'NA' is empty, is a word"),
        (["age\told", "age\told"], r"shop\.classes, line 3: class 'old' of 'age' is listed twice"),
        (["age"], r"shop\.classes, line 2: the number of fields is wrong"),
    ],
)
def test_listed_classes_that_do_not_fit_are_refused(tmp_path, lines, text):
    with pytest.raises(SimulatorError, match=text):
        listed(tmp_path, *lines)
