"""Points out texts that may not be what they seem: ids and classes that another program has spoilt."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence

MISSING = ("nan", "nat", "null", "none", "na", "n/a", "#n/a", "<na>", "\\n", "unknown")
"""Words for a value that is not known, in small or capital letters; so is an empty field."""


def _is_garbled(text: str) -> bool:
    """Returns whether the letters of a text, written in a Western encoding, are UTF-8 for others."""
    for encoding in ("cp1252", "latin-1"):
        try:
            return not text.isascii() and text.encode(encoding).decode() != text
        except UnicodeError:
            continue
    return False


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "with a space at the beginning or end, which is a part of them": lambda text: text != text.strip(),
    "that are a word for a missing value": lambda text: text.lower() in MISSING,
    "in quotes, which are a part of them": lambda text: len(text) > 1 and text[0] == text[-1] == '"',
    "with U+FFFD, by which a program has replaced letters": lambda text: "\ufffd" in text,
    "that look like UTF-8 read in another encoding": _is_garbled,
    "with an invisible character": lambda text: not text.isascii() and "Cf" in map(unicodedata.category, text),
}


def oddities(kind: str, texts: Sequence[str]) -> list[str]:
    """Makes a note for each way in which texts are odd.

    Args:
        kind: of the texts: "user ids".
        texts: the texts.
    """
    groups = {problem: list(filter(is_odd, texts)) for problem, is_odd in _CHECKS.items()}
    return [
        f"{kind} {problem}: {len(group):,}, the first is {group[0]!r}" for problem, group in groups.items() if group
    ]
