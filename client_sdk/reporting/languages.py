"""Puts the statements of a privacy report into words.

A language is a module with `HEADINGS`, by kind, and `TEXTS`, by code. A text names values in braces. Where it counts,
there are two: the first for a count of one, the second for all others. A line in `LANGUAGES` adds a language, and
`tests/client_sdk/reporting` holds it to the codes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from client_sdk.errors import UsageError
from client_sdk.reporting import english, german
from client_sdk.reporting.statements import Statement, StatementKind


@dataclass(frozen=True)
class Language:
    """The texts of one language, as above."""

    headings: Mapping[StatementKind, str]
    texts: Mapping[str, tuple[str, ...]]

    def sentence(self, statement: Statement) -> str:
        """Returns a statement in words."""
        forms = self.texts[statement.code]
        form = forms[0] if statement.values.get("count") == 1 else forms[-1]
        values = statement.values.items()
        return form.format(**{name: ", ".join(value) if isinstance(value, tuple) else value for name, value in values})


LANGUAGES = {
    "en": Language(english.HEADINGS, english.TEXTS),
    "de": Language(german.HEADINGS, german.TEXTS),
}
"""The languages of reports, by their codes of ISO 639-1."""


def text(statements: Iterable[Statement], language: str) -> str:
    """Returns statements in words, a heading for each kind and a line for each statement.

    Raises:
        UsageError: there are no texts in the language.
    """
    if not isinstance(language, str) or language not in LANGUAGES:
        raise UsageError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
    words, lines = LANGUAGES[language], list[str]()
    by_kind = list(statements)
    for kind in StatementKind:
        sentences = [words.sentence(statement) for statement in by_kind if statement.kind is kind]
        if sentences:
            lines += [f"{words.headings[kind]}:", *(f"* {sentence}" for sentence in sentences)]
    return "\n".join(lines)
