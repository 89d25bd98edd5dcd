"""Every statement has a text in every language, and its values in it."""

from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import Statement, StatementKind
from client_sdk.errors import UsageError
from client_sdk.reporting.languages import LANGUAGES, text
from client_sdk.reporting.statements import CODES

VALUES = {
    "count": st.integers(0, 10**6),
    "kilobytes": st.integers(0, 10**6),
    "last": st.dates().map(str),
    "name": st.text(min_size=1),
    "minimum": st.integers(64, 10**6),
    "most": st.integers(1, 10**6),
    "spent": st.floats(0, 100).map("{:.2f}".format),
    "delta": st.just("0.000001"),
    "names": st.lists(st.text(min_size=1), min_size=1, max_size=4).map(tuple),
}


def statements():
    codes = st.sampled_from(sorted(CODES))
    return codes.flatmap(
        lambda code: st.fixed_dictionaries({name: VALUES[name] for name in CODES[code][1]}).map(
            lambda values: Statement(code, values)
        )
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_texts_for_these_codes_and_these_values(language):
    words = LANGUAGES[language]
    assert set(words.headings) == set(StatementKind)
    assert words.texts.keys() == CODES.keys()
    for code, forms in words.texts.items():
        assert len(forms) <= (2 if "count" in CODES[code][1] else 1)
        for form in forms:
            assert {name for _, name, _, _ in Formatter().parse(form) if name is not None} == CODES[code][1]
            assert form.endswith(".")


@pytest.mark.parametrize("language", LANGUAGES)
@given(statements())
def test_every_value_is_in_the_text(language, statement):
    line = text([statement], language)
    assert line.startswith(f"{LANGUAGES[language].headings[statement.kind]}:\n* ")
    for value in statement.values.values():
        for part in value if isinstance(value, tuple) else [value]:
            assert str(part) in line


@given(st.lists(statements(), max_size=8))
def test_each_statement_is_a_line_under_the_heading_of_its_kind(several):
    kinds = {statement.kind for statement in several}
    for language in LANGUAGES:
        whole = text(several, language)
        assert all(LANGUAGES[language].sentence(statement) in whole for statement in several)
        assert [heading for kind, heading in LANGUAGES[language].headings.items() if f"{heading}:\n" in whole] == [
            LANGUAGES[language].headings[kind] for kind in StatementKind if kind in kinds
        ]


def test_a_language_without_texts_is_refused_with_those_that_have_them():
    with pytest.raises(UsageError, match="one of en, de, not 'fr'"):
        text([], "fr")
    for wrong in (None, [], 1):
        with pytest.raises(UsageError, match="one of en, de"):
            text([], wrong)


@pytest.mark.parametrize(("code", "values"), [("no_such", {}), ("items_kept", {}), ("items_kept", {"number": 1})])
def test_a_statement_without_its_values_is_none(code, values):
    with pytest.raises(ValueError, match=code):
        Statement(code, values)
