from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.datasets import Dataset, recbole, times
from simulator.errors import ConfigError, DatasetFormatError
from tests.simulator.datasets.own import CALM, own

FIELD = st.text(st.characters(exclude_characters="\t\r\n\0\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=4)
ROW = st.tuples(FIELD.filter(str.strip), FIELD.filter(str.strip), st.integers(-(2**63), 2**63 - 1))


@settings(CALM, max_examples=60)
@given(st.lists(ROW, min_size=1, max_size=20), st.data())
def test_frames_are_the_same_data_as_atomic_files(tmp_path, rows, data):
    users = list(dict.fromkeys(user for user, *_ in rows))
    moods = [data.draw(FIELD) for _ in users]
    header = "user_id:token\titem_id:token\ttimestamp:float"
    user = ["user_id:token\tmood:token", *map("\t".join, zip(users, moods, strict=True))]
    expected = recbole.load(own(tmp_path, [header, *("\t".join(map(str, row)) for row in rows)], user), "shop")
    visits = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    dataset = Dataset.from_frames(visits, pd.DataFrame({"user_id": users, "mood": moods}))
    assert dataset.fingerprint() == expected.fingerprint()


def visits(**columns):
    return pd.DataFrame({"user_id": ["u"] * 3, "item_id": ["last", "first", "mid"], **columns})


def history(dataset):
    return [dataset.items[row] for row in dataset.histories()[0]]


NANO = 1_700_000_000_000_000_000
MOMENTS = pd.to_datetime([NANO + 200, NANO, NANO + 1])


@pytest.mark.parametrize(
    "moments",
    [
        [3, 1, 2],
        np.array([3, 1, 2], np.uint8),
        [3.5, -1.25, 0.0],
        np.array([3, 1, 2], np.float32),
        np.array([2**24, 1.25, 1.5], np.float32),
        np.array([2**11, 0.25, 0.5], np.float16),
        pd.array([2**24, -1.5, 0], "Float32"),
        [NANO + 200, NANO, NANO + 1],
        MOMENTS,
        MOMENTS.tz_localize("Europe/Berlin"),
        pd.array([3, 1, 2], "Int64"),
        pd.Series([3, 1, 2]).astype("category"),
        [np.int64(3), 1, 2],
        pd.to_datetime(["2024-03-01", "1960-01-01", "2024-02-01"]).astype("datetime64[s]"),
    ],
)
def test_times_of_every_type_are_compared_exactly(moments):
    dataset = Dataset.from_frames(visits(timestamp=moments))
    assert history(dataset) == ["first", "mid", "last"]
    assert times.FILE_ORDER not in dataset.notes


@pytest.mark.parametrize(
    ("moments", "text"),
    [
        ([NANO + 0.5, 1, 2], "interactions, row 0: timestamp '1.7e\\+18' is a float beyond"),
        ([1, None, 2], "interactions, row 1: timestamp '' is not a number"),
        ([1, 2, float("inf")], "row 2: timestamp 'inf' is not a number"),
        (
            np.array([1, 2, 2**24 + 2], np.float32),
            r"row 2: timestamp '16777218.0' is a float beyond 2\*\*24, where such",
        ),
        (-pd.array([1, 2, 2**24 + 2], "Float32"), r"row 2: timestamp '-16777218.0' is a float beyond 2\*\*24"),
        (
            pd.array([1.0, 2.0, 2.0**24 + 2], "float[pyarrow]"),
            r"row 2: timestamp '16777218.0' is a float beyond 2\*\*24",
        ),
        (pd.arrays.SparseArray([1, 2, 2**24 + 2], dtype=np.float32), r"is a float beyond 2\*\*24"),
        (pd.Series([1, 2, 2**24 + 2], dtype="float32").astype("category"), r"is a float beyond 2\*\*24"),
        (np.array([2050, 1, 2], np.float16), r"row 0: timestamp '2050.0' is a float beyond 2\*\*11"),
        (pd.to_datetime(["2024-01-31", None, "2024-01-31"]), "row 1: timestamp ''"),
        (np.array([1, 2, 2**64 - 1], np.uint64), "row 2: timestamp '18446744073709551615' has too many"),
    ],
)
def test_a_time_that_cannot_be_compared_exactly_is_refused(moments, text):
    with pytest.raises(DatasetFormatError, match=text):
        Dataset.from_frames(visits(timestamp=moments))


@pytest.mark.parametrize("moments", [["3", "1", "2"], [datetime(2024, 1, day, tzinfo=UTC) for day in (3, 1, 2)]])
def test_a_time_of_another_type_is_used_or_pointed_out(moments):
    dataset = Dataset.from_frames(visits(timestamp=moments))
    used = history(dataset) == ["first", "mid", "last"]
    assert used != any("'timestamp' of interactions looks like a time" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ([1, 2, 1], ["1", "2"]),
        (pd.array([1, 2, 1], "Int32"), ["1", "2"]),
        (pd.Series(["b", "a", "b"], dtype="category"), ["b", "a"]),
        (pd.Series(["b", "a", "b"], dtype="string"), ["b", "a"]),
        ([np.str_("b"), "a", "b"], ["b", "a"]),
        ([np.int64(1), 2, 1], ["1", "2"]),
    ],
)
def test_ids_are_texts_or_whole_numbers(ids, texts):
    assert Dataset.from_frames(visits(timestamp=[1, 2, 3]).assign(user_id=ids)).users == texts


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([1.0, 2.0, 1.0], "user_id:float cannot be the column of the users; its type must be token"),
        ([1, "1", 2], "user_id:object cannot be"),
        ([b"u", b"v", b"w"], "user_id:object cannot be"),
        (["u", None, "v"], "interactions, row 1: the user_id is empty"),
        (["u", " ", "v"], "interactions, row 1: the user_id is empty"),
        (pd.Series(["u", "\ud800", "v"], dtype=object), "user_id has a text that is not Unicode"),
    ],
)
def test_other_ids_are_refused(ids, text):
    with pytest.raises(DatasetFormatError, match=text):
        Dataset.from_frames(visits().assign(user_id=ids), user_column="user_id")


def test_columns_of_users_become_attributes_or_say_why_not():
    people = pd.DataFrame(
        {
            "user_id": ["u", "v", "w"],
            "gender": ["F ", None, "nan"],
            "active": [True, False, True],
            "level": [2, 1, 2],
            "age": [17.0, np.nan, 45.0],
            "income": [1.0, 2.0, 3.0],
            "mixed": [1, "1", None],
        }
    )
    frame = visits().assign(user_id=["u", "v", "w"])
    dataset = Dataset.from_frames(frame, people, bins={"age": [18, 45]})
    assert dataset.figures()["attributes"] == {
        "gender": {"F": 1, "unknown": 2},
        "active": {"False": 1, "True": 2},
        "level": {"1": 1, "2": 2},
        "age": {"under 18": 1, "18 to under 45": 0, "45 and over": 1, "unknown": 1},
    }
    assert set(dataset.unfit) == {"income", "mixed"}
    with pytest.raises(DatasetFormatError, match="users, row 3: user 'u' is listed twice"):
        Dataset.from_frames(frame, pd.concat([people, people]))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"user_column": "customer"}, "there is no column 'customer'; there is user_id:token, item_id:token"),
        ({"bins": {"age": [25, 25]}}, "the numbers of 'age=25.0,25.0' must ascend"),
        ({"bins": {"age": [25]}}, "--bin cannot divide 'age'"),
        ({"min_rating": 3}, "min_rating is compared with a column"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(options, text):
    with pytest.raises((ConfigError, DatasetFormatError), match=text):
        Dataset.from_frames(visits(), **options)


def test_two_columns_of_a_name_are_refused():
    frame = pd.concat([visits(), visits()], axis=1)
    with pytest.raises(DatasetFormatError, match="two columns have the same name"):
        Dataset.from_frames(frame)
