"""The rules: patterns of prose that is hard to read, which a machine can find with few false alarms."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.prose.fragments import CODE, Fragment

MAX_WORDS = 40
MAX_COLUMNS = 120

_WORDS_FILE = Path(__file__).with_name("words.txt")
_NOT_SENTENCES = {"cell", "line", "heading"}
_BE = r"(?:is|are|was|were|be|been)"
_OPENERS = r"(?:What|Whether|How|Who|Whom|Whose|Which)"
_COMPARED = "longer more less fewer worse better different other larger smaller bigger faster slower higher lower later"
_ARCHAIC = (
    "but for|save for|ere|aught|nought|whilst|upon|thereof|therein|whereof|wherein|whereupon|hereby|herein|hitherto|"
    "thither|whither|lest|amidst|betwixt"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its name, an explanation with the remedy, and a function that yields offsets in a fragment's text."""

    name: str
    explanation: str
    offsets: Callable[[Fragment], Iterator[int]]


def _long_sentences(fragment: Fragment) -> Iterator[int]:
    if fragment.kind not in _NOT_SENTENCES:
        for start, sentence in fragment.sentences:
            without_lists = re.sub(rf"{CODE}(?:[,;] (?:and |or )?{CODE})+", CODE, sentence)
            if len([word for word in without_lists.split() if re.search(r"\w", word)]) > MAX_WORDS:
                yield start


def _noun_clauses(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {*_NOT_SENTENCES, "item"}:
        return
    flags = re.IGNORECASE if fragment.kind in {"docstring", "entry"} else re.NOFLAG
    for start, sentence in fragment.sentences:
        if not sentence.endswith("?"):
            if re.match(rf"[\"'(*_]*{_OPENERS}\b(?! to\b)", sentence, flags):
                yield start
            for clause in re.finditer(r"; (?=(?:what|whether|how|who) )", sentence):
                yield start + clause.end()


def _openings_with_of(fragment: Fragment) -> Iterator[int]:
    if fragment.kind not in {"line", "heading"}:
        for start, sentence in fragment.sentences:
            if re.match(r"Of (?!course\b|(?:the|these|those|all|its|their)? ?\d)", sentence):
                yield start


def _relative_piles(fragment: Fragment) -> Iterator[int]:
    if fragment.kind != "line":
        for start, sentence in fragment.sentences:
            yield from (start + match.start() for match in re.finditer(r"\bof (?:which|whom)\b", sentence, re.I))
            if len(re.findall(r"\bwhose\b", sentence, re.IGNORECASE)) > 1:
                yield start


def _semicolon_piles(fragment: Fragment) -> Iterator[int]:
    if fragment.kind not in _NOT_SENTENCES:
        yield from (start for start, sentence in fragment.sentences if sentence.count(";") > 1)


def _inversions(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {"line", "heading"}:
        return
    opening = rf"(?:Not so|So|Such|Nor|Beside \w+|Beneath) (?:{_BE}|does|do|has|have|may|stands?|lies?) "
    for start, sentence in fragment.sentences:
        if re.match(opening, sentence) and not sentence.endswith("?"):
            yield start
        yield from (start + match.start() for match in re.finditer(rf"\b(?:nor|no more) {_BE}\b", sentence))


def _small_openings(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {"page", "docstring"}:
        first, *rest = fragment.text.lstrip("\"'*_").split(" ")
        formula = bool(rest) and rest[0] in {"=", "+", "*", "/"}
        word = re.fullmatch(r"([a-z][a-z]+)[,.:;]?", first)
        if word and not formula and word[1] not in _accepted():
            yield 0


def _accepted() -> set[str]:
    """Names that are written small at the beginning of a sentence too."""
    lines = _WORDS_FILE.read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def _long_lines(fragment: Fragment) -> Iterator[int]:
    if fragment.kind == "line" and not fragment.text.lstrip().startswith("|"):
        without_targets = re.sub(r"\]\([^)]*\)|<?https?://\S+", "", fragment.lines[0][1])
        if len(without_targets) > MAX_COLUMNS:
            yield 0


def _matches(pattern: str, flags: re.RegexFlag = re.IGNORECASE) -> Callable[[Fragment], Iterator[int]]:
    compiled = re.compile(pattern, flags)

    def offsets(fragment: Fragment) -> Iterator[int]:
        if fragment.kind != "line":
            yield from (match.start() for match in compiled.finditer(fragment.text))

    return offsets


RULES = (
    Rule("long-sentence", f"The sentence has more than {MAX_WORDS} words; make it two.", _long_sentences),
    Rule(
        "noun-clause",
        "The sentence opens with a What/Whether/How/Who clause; open with its subject, or a docstring with a verb.",
        _noun_clauses,
    ),
    Rule("of-opening", "The sentence opens with 'Of ...'; put its subject first.", _openings_with_of),
    Rule("relative-pile", "'of which', 'of whom' or a second 'whose'; start another sentence.", _relative_piles),
    Rule("semicolons", "The sentence has two semicolons; write sentences, or a list.", _semicolon_piles),
    Rule("is-none", "'is none'; write 'there is no X' or 'is not an X'.", _matches(rf"\b{_BE} none\b(?! of)")),
    Rule(
        "is-no",
        "'is no X'; write 'is not an X'.",
        _matches(rf"(?<!there )\b(?:is|are|was|were) no (?!(?:{_COMPARED.replace(' ', '|')}|earlier|way)\b)"),
    ),
    Rule(
        "told",
        "'told' or 'tells'; write prints, reports, shows, says, reveals, discloses or distinguishes.",
        _matches(r"\b(?:told|tells)\b"),
    ),
    Rule("inversion", "The verb stands before its subject; put the subject first.", _inversions),
    Rule("archaic", "An archaic word or phrase; use the everyday one.", _matches(rf"\b(?:{_ARCHAIC})\b")),
    Rule("doubled", "A word stands twice.", _matches(r"\b(?!that\b|had\b)([a-z]{2,}) \1\b", re.NOFLAG)),
    Rule("small-opening", "The paragraph or docstring opens with a small letter.", _small_openings),
    Rule("line-length", f"The line is longer than {MAX_COLUMNS} columns.", _long_lines),
)
"""Every rule."""
