import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.datasets.oddities import oddities
from tests.simulator.datasets.own import CALM, read


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ann ", "with a space at the beginning or end"),
        ("\u00a0ann", "with a space at the beginning or end"),
        ("NaN", "that are a word for a missing value"),
        ('"ann"', "in quotes, which are a part of them"),
        ("caf\ufffd", "with U+FFFD, by which a program has replaced letters"),
        ("caf\u00c3\u00a9", "that look like UTF-8 read in another encoding"),
        ("\u00e2\u201a\u00ac", "that look like UTF-8 read in another encoding"),
        ("ann\u200b", "with an invisible character"),
        ("\ufeffann", "with an invisible character"),
    ],
)
def test_a_text_that_may_not_be_what_it_seems_is_pointed_out(text, problem):
    (note,) = oddities("user ids", ["bob", text, "eve"])
    assert note.startswith(f"user ids {problem}")
    assert note.endswith(f": 1, the first is {text!r}")


@pytest.mark.parametrize(
    "text", ["ann", "Jos\u00e9", "m\u00e4nnlich", "\u5973", "\u0416", "o'neil", '"', "\U0001f3b5", "a b"]
)
def test_a_usual_text_is_not(text):
    assert oddities("user ids", [text]) == []


@CALM
@given(st.text(st.characters(min_codepoint=0xA1, exclude_categories=["Cs", "Cf", "Cn"]), min_size=1))
def test_utf_8_that_was_read_as_latin_1_is_recognised(text):
    garbled = text.encode().decode("latin-1")
    assert any("UTF-8 read in another encoding" in note for note in oddities("ids", [garbled]))


def test_odd_ids_and_classes_are_noted(tmp_path):
    inter = ["user_id:token\titem_id:token", "ann \ta", "bob\tcaf\ufffd"]
    notes = read(tmp_path, inter, ["user_id:token\tgender:token", 'bob\t"F"']).notes
    assert [note.partition(":")[0] for note in notes[1:]] == [
        "user ids with a space at the beginning or end, which is a part of them",
        "item ids with U+FFFD, by which a program has replaced letters",
        "classes of 'gender' in quotes, which are a part of them",
    ]
