import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.datasets.attributes import class_of, value
from simulator.datasets.oddities import MISSING
from simulator.errors import ConfigError, DatasetFormatError
from tests.simulator.datasets.own import CALM, read

SPACES = st.sampled_from(["", " ", "\u00a0", "  "])
CASES = st.sampled_from([str.lower, str.upper, str.title, str])


@CALM
@given(st.sampled_from(["", *MISSING]), SPACES, SPACES, CASES)
def test_a_word_for_a_missing_value_is_unknown_in_any_case(word, before, after, case):
    assert value(f"{before}{case(word)}{after}") == ""


@CALM
@given(st.text().filter(lambda text: text.strip() and text.strip().lower() not in MISSING), SPACES, SPACES)
def test_another_word_is_a_class_without_the_spaces_around_it(text, before, after):
    assert class_of(f"{before}{text}{after}", (), fold_case=False) == text.strip()
    assert class_of(text, (), fold_case=True) == text.strip().lower()


@CALM
@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20).map(sorted),
)
def test_a_greater_number_is_in_the_same_class_or_a_later_one(edges, numbers):
    classes = list(dict.fromkeys(class_of(repr(number), edges, False) for number in numbers))
    places = [sum(number >= edge for edge in edges) for number in numbers]
    assert len(classes) == len(set(places))


def people(tmp_path, user, **settings):
    """The data set of six users, of whom a file says something."""
    inter = ["user_id:token\titem_id:token", *(f"u{number}\ta" for number in range(6))]
    return read(tmp_path, inter, user, **settings)


def column(name, *values):
    return [f"user_id:token\t{name}", *(f"u{number}\t{text}" for number, text in enumerate(values))]


def remarks(dataset, word):
    return [remark for remark in dataset.remarks() if word in remark]


def test_missing_values_are_unknown_and_pointed_out(tmp_path):
    dataset = people(tmp_path, column("gender:token", "F", "M", "nan", "NULL", "None", "\\N"))
    assert dataset.figures()["attributes"] == {"gender": {"F": 1, "M": 1, "unknown": 4}}
    assert remarks(dataset, "gender") == ["'gender' is unknown for 4 users who have the word NULL, None, \\N for it"]


def test_a_column_of_missing_values_only_says_so(tmp_path):
    dataset = people(tmp_path, column("gender:token", *["nan"] * 6))
    assert dataset.remarks()[-2:] == [
        "'gender' is unknown for 6 users who have the word nan for it",
        "'gender' cannot be an attribute: no user with a value in it has interactions",
    ]


def test_a_class_called_unknown_is_no_class(tmp_path):
    dataset = people(tmp_path, column("gender:token", "F", "M", "unknown", "Unknown", "", ""))
    assert dataset.figures()["attributes"] == {"gender": {"F": 1, "M": 1, "unknown": 4}}


def test_classes_are_trimmed_and_alike_ones_pointed_out(tmp_path):
    user = column("gender:token", "F", "F ", " f", "M", "caf\u00e9", "cafe\u0301")
    dataset = people(tmp_path / "as-it-is", user)
    assert dataset.attributes["gender"].classes == ("F", "M", "cafe\u0301", "caf\u00e9", "f")
    assert [remark.partition(", which look")[0] for remark in remarks(dataset, "alike")] == [
        "'gender' has the classes 'F' and 'f'",
        "'gender' has the classes 'cafe\u0301' and 'caf\u00e9'",
    ]
    folded = people(tmp_path / "folded", user, fold_case=True)
    assert folded.attributes["gender"].classes == ("cafe\u0301", "caf\u00e9", "f", "m")
    assert folded.attributes["gender"].labels.tolist()[:4] == [2, 2, 2, 3]


@pytest.mark.parametrize("kind", ["float", "token"])
def test_numbers_are_divided_into_classes(tmp_path, kind):
    dataset = people(tmp_path, column(f"age:{kind}", "24.9", "25", " 44", "45", "nan", "1e2"), bins=["age=25,45"])
    age = dataset.attributes["age"]
    assert age.classes == ("under 25", "25 to under 45", "45 and over")
    assert age.labels.tolist() == [0, 1, 1, 2, -1, 2]
    assert "'age' is divided into classes; its numbers go from 24.9 to 100" in dataset.notes


def test_numbers_that_are_not_divided_say_how_to_divide_them(tmp_path):
    dataset = people(tmp_path, column("age:float", "24", "25", "44", "45", "", "100"))
    with pytest.raises(
        ConfigError, match=r"'age' cannot be an attribute: it holds numbers; --bin age=A,B divides them"
    ):
        dataset.attribute("age")
    assert remarks(dataset, "age") == dataset.remarks()[-1:]


@pytest.mark.parametrize("kind", ["token_seq", "float_seq"])
def test_a_list_is_not_an_attribute(tmp_path, kind):
    dataset = people(tmp_path, column(f"tags:{kind}", *["1 2"] * 6))
    assert dataset.unfit == {"tags": f"its type is {kind}, and an attribute has one value for each user"}


def test_many_different_numbers_say_how_to_divide_them(tmp_path):
    inter = ["user_id:token\titem_id:token", *(f"u{number}\ta" for number in range(60))]
    dataset = read(tmp_path, inter, column("age:token", *map(str, range(60))))
    assert dataset.unfit["age"].endswith("more than 50; --bin age=A,B divides numbers into classes")


def test_a_field_that_cannot_be_divided_is_named(tmp_path):
    with pytest.raises(DatasetFormatError, match=r"shop\.user, line 3: age 'old' is not a number, and only numbers"):
        people(tmp_path, column("age:token", "24", "old"), bins=["age=25"])


@pytest.mark.parametrize("user", [None, column("age:token", "24"), column("rage:float_seq", "24")])
def test_a_column_that_is_not_there_cannot_be_divided(tmp_path, user):
    with pytest.raises(ConfigError, match=r"--bin cannot divide 'rage'"):
        people(tmp_path, user, bins=["rage=25"])


def test_users_without_interactions_are_counted(tmp_path):
    user = [*column("age:token", "a", "b"), "w\ta", "x\tb"]
    assert "2 users of shop.user have no interactions, and are left out" in people(tmp_path, user).notes


def test_every_user_has_a_label_within_the_classes(tmp_path):
    dataset = people(tmp_path, column("gender:token", "F", "M"))
    labels = dataset.attributes["gender"].labels
    assert labels.tolist() == [0, 1, -1, -1, -1, -1]
    assert labels.dtype == np.int64
