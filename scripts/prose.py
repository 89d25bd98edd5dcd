"""Checks the prose of pages, docstrings, comments, help and error texts: `python scripts/prose.py [PATH...]`.

Each rule is a pattern that a machine can hold. A finding is printed as `file:line: rule: explanation`, with the sentence
below it. The exit status is 1 if there is a finding. `--list` prints the rules.
"""

import argparse
import ast
import inspect
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

MAX_WORDS = 40
MAX_COLUMNS = 120
WORDS_FILE = Path(__file__).with_name("prose_words.txt")

_SKIPPED_FOLDERS = {"build", "dist", "runs", "node_modules", "site"}
_CODE = "CODE"  # stands for an inline code span: one word, and never the opening of a clause
_OPENERS = r"(?:What|Whether|How|Who|Whom|Whose|Which|Of what|Of which|Of whom)"
_BE = r"(?:is|are|was|were|be|been)"
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|eq|Eq|fig|Fig|no|sec|Sec|approx|Dr|St|[A-Z])|\.\.)\.$")
_SENTENCE_END = re.compile(r"[.!?][\"')\]*_]*\s+(?=[\"'(\[*_]*[A-Z0-9])")
_DOC_SECTION = re.compile(r"(Args|Returns|Yields|Raises|Attributes|Note|Notes|Example|Examples|Warning):\s*$")
_DOC_ENTRY = re.compile(r"\*{0,2}[\w.`, \[\]]{1,60}?(?: \([^)]*\))?: ")
_LIST_ITEM = re.compile(r"(?:[*+-]|\d+[.)])\s+")
_DRAWING = re.compile(r"[─│┌┐└┘├┤┬┴┼▼▲▶◀]|^\s*[|+][-=+|]{3,}")
_DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|fmt:|pragma|mypy:|ruff:|pylint:|!)|\s#\s*(?:noqa|type:\s*ignore).*$")


@dataclass(frozen=True)
class Fragment:
    """One paragraph, list item, table cell, docstring entry, comment, help or error text.

    Args:
        kind: page, item, cell, heading, line, docstring, entry, comment, help or error.
        lines: the text of each line, without its markup, with its number.
    """

    path: Path
    kind: str
    lines: tuple[tuple[int, str], ...]

    @cached_property
    def text(self) -> str:
        """The lines as one line, with code spans, links and URLs reduced to words."""
        return " ".join(text for _, text in self.plain())

    def plain(self) -> Iterator[tuple[int, str]]:
        """Yields the number and the reduced text of each line; a span that crosses lines counts for its first."""
        joined = _reduced("\n".join(text.strip() for _, text in self.lines))
        yield from zip((number for number, _ in self.lines), joined.split("\n"), strict=False)

    def line_of(self, offset: int) -> int:
        """Number of the line that holds a character of `text`."""
        for number, text in self.plain():
            if offset <= len(text):
                return number
            offset -= len(text) + 1
        return self.lines[-1][0]

    def sentences(self) -> Iterator[tuple[int, str]]:
        """Yields the offset in `text` and the text of each sentence."""
        text, start = self.text, 0
        for end in _SENTENCE_END.finditer(text):
            if not _ABBREVIATION.search(text[: end.start() + 1]):
                yield start, text[start : end.end()].rstrip()
                start = end.end()
        if text[start:].strip():
            yield start, text[start:].rstrip()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A place that breaks a rule."""

    path: Path
    line: int
    rule: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its name, an explanation with the remedy, and a function that yields offsets in a fragment's text."""

    name: str
    explanation: str
    offsets: Callable[[Fragment], Iterator[int]]


def check(path: Path) -> list[Finding]:
    """All findings of a Markdown page, a Python module or a protocol file."""
    readers = {".md": page, ".py": module, ".proto": protocol}
    findings = []
    for fragment in readers[path.suffix](path, path.read_text("utf-8")):
        for rule in RULES:
            for offset in rule.offsets(fragment):
                excerpt = next(text for start, text in [*fragment.sentences()][::-1] if start <= offset)
                findings.append(Finding(path, fragment.line_of(offset), rule.name, excerpt))
    return sorted(set(findings))


def page(path: Path, source: str) -> Iterator[Fragment]:
    """The fragments of a Markdown page. Code blocks and comments are left out, but for the length of their lines."""
    lines = [*enumerate(_without_comments(source).split("\n"), 1)]
    for number, line in lines:
        yield Fragment(path, "line", ((number, line),))
    yield from _blocks(path, lines, "page")


def module(path: Path, source: str) -> Iterator[Fragment]:
    """The fragments of a Python module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines = inspect.cleandoc(node.value.value).split("\n")
            start = node.lineno + (len(node.value.value) - len(node.value.value.lstrip("\n")))
            yield from _blocks(path, [*enumerate(lines, start)], "docstring")
        elif isinstance(node, ast.keyword) and node.arg in {"help", "description", "epilog"}:
            yield from _string(path, node.value, "help")
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "help":
                    yield from _string(path, value, "help")
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in node.exc.args:
                yield from _string(path, argument, "error")
    yield from _comments(path, source)


def protocol(path: Path, source: str) -> Iterator[Fragment]:
    """The comments of a protocol file."""
    comments = [(n, line.partition("//")[2].strip()) for n, line in enumerate(source.split("\n"), 1) if "//" in line]
    for _, group in groupby(enumerate(comments), lambda pair: pair[1][0] - pair[0]):
        yield from _blocks(path, [line for _, line in group], "comment")


def _without_comments(source: str) -> str:
    return re.sub(r"<!--.*?-->", lambda comment: re.sub(r"[^\n]", "", comment[0]), source, flags=re.DOTALL)


def _reduced(text: str) -> str:
    """Code spans become one word each, and links their text; line breaks stay where they are."""

    def breaks(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", lambda span: _CODE + breaks(span), text, flags=re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<?https?://\S+", "URL", text)
    return text.replace("**", "")


def _blocks(path: Path, lines: Iterable[tuple[int, str]], kind: str) -> Iterator[Fragment]:
    """Paragraphs, list items, entries of a docstring's sections, and cells; code and drawings are left out."""
    block: list[tuple[int, str]] = []
    block_kind, fence, section = kind, "", False
    for number, line in [*lines, (0, "")]:
        text = line.strip()
        mark = re.match(r"`{3,}|~{3,}", text)
        start = _LIST_ITEM.match(text)
        entry = _DOC_ENTRY.match(text) if section and not line.startswith(" " * 8) else None
        code = bool(fence or mark or text.startswith((">>>", "... ")) or _DRAWING.search(line))
        if code or not text or start or entry or text.startswith(("#", "|")) or _DOC_SECTION.match(text):
            if block:
                yield Fragment(path, block_kind, tuple(block))
            block, block_kind = [], "entry" if section else kind
        if mark:
            fence = "" if fence and text.startswith(fence) else fence or mark[0]
        elif code or not text:
            continue
        elif _DOC_SECTION.match(text) and kind == "docstring":
            section, block_kind = True, "entry"
        elif text.startswith("#") and kind == "page":
            yield Fragment(path, "heading", ((number, text.lstrip("# ")),))
        elif text.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", text.strip("|")):
                yield Fragment(path, "cell", ((number, cell.strip()),))
        elif start:
            block, block_kind = [(number, text[start.end() :])], "item"
        elif entry:
            block, block_kind = [(number, text[entry.end() :])], "entry"
        elif not block and not section and line.startswith("    "):
            continue  # an indented block of code
        else:
            block.append((number, text))


def _string(path: Path, node: ast.expr, kind: str) -> Iterator[Fragment]:
    """A string literal, or the literal parts of an f-string with its values reduced to a word."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else _CODE for part in node.values)
    else:
        return
    yield Fragment(path, kind, ((node.lineno, " ".join(text.split())),))


def _comments(path: Path, source: str) -> Iterator[Fragment]:
    """Comments; those on lines of their own that follow each other are one fragment."""
    block: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or _DIRECTIVE.match(token.string):
            continue
        alone, line = token.line.lstrip().startswith("#"), token.start[0]
        if block and not (alone and block[-1][0] == line - 1):
            yield from _blocks(path, block, "comment")
            block = []
        block.append((line, _DIRECTIVE.sub("", token.string).lstrip("#: ")))
    yield from _blocks(path, block, "comment")


def _long_sentences(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {"cell", "line", "heading"}:
        return
    for start, sentence in fragment.sentences():
        names = re.sub(rf"{_CODE}(?:[,;] (?:and |or )?{_CODE})+", _CODE, sentence)
        if len([word for word in names.split() if re.search(r"\w", word)]) > MAX_WORDS:
            yield start


def _noun_clauses(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {"cell", "line", "heading", "item"}:
        return
    for start, sentence in fragment.sentences():
        if sentence.endswith("?"):
            continue
        ignore_case = re.IGNORECASE if fragment.kind in {"docstring", "entry"} else 0
        if re.match(rf"[\"'(*_]*{_OPENERS}\b", sentence, ignore_case):
            yield start
        for clause in re.finditer(r"; (?=(?:what|whether|how|who) )", sentence):
            yield start + clause.end()


def _openings_with_of(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {"line", "heading"}:
        return
    for start, sentence in fragment.sentences():
        if re.match(r"Of (?!course\b|(?:the|these|those|all|its|their)? ?\d)", sentence):
            yield start


def _relative_piles(fragment: Fragment) -> Iterator[int]:
    if fragment.kind == "line":
        return
    for start, sentence in fragment.sentences():
        yield from (start + found.start() for found in re.finditer(r"\bof (?:which|whom)\b", sentence, re.IGNORECASE))
        if len(re.findall(r"\bwhose\b", sentence, re.IGNORECASE)) > 1:
            yield start


def _semicolon_piles(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {"cell", "line", "heading"}:
        return
    for start, sentence in fragment.sentences():
        if sentence.count(";") > 1:
            yield start


def _small_openings(fragment: Fragment) -> Iterator[int]:
    if fragment.kind not in {"page", "docstring"}:
        return
    first, *rest = fragment.text.lstrip("\"'*_").split(" ")
    formula = rest and rest[0] in {"=", "+", "*", "/"}
    if not formula and re.fullmatch(r"[a-z][a-z]+[,.:;]?", first) and first.rstrip(",.:;") not in _accepted():
        yield 0


def _accepted() -> set[str]:
    """Names that are written small at the beginning of a sentence too."""
    return set(WORDS_FILE.read_text("utf-8").split()) if WORDS_FILE.exists() else set()


def _long_lines(fragment: Fragment) -> Iterator[int]:
    number, line = fragment.lines[0]
    if fragment.kind != "line" or line.lstrip().startswith("|"):
        return
    if len(re.sub(r"\]\([^)]*\)|<?https?://\S+", "", line)) > MAX_COLUMNS:
        yield 0


def _matches(pattern: str, flags: int = re.IGNORECASE) -> Callable[[Fragment], Iterator[int]]:
    compiled = re.compile(pattern, flags)

    def offsets(fragment: Fragment) -> Iterator[int]:
        if fragment.kind != "line":
            yield from (match.start() for match in compiled.finditer(fragment.text))

    return offsets


def _inversions(fragment: Fragment) -> Iterator[int]:
    if fragment.kind in {"line", "heading"}:
        return
    opening = rf"(?:Not so|So|Such|Nor|Beside \w+|Beneath) (?:{_BE}|does|do|has|have|may|stands?|lies?) "
    for start, sentence in fragment.sentences():
        if re.match(opening, sentence) and not sentence.endswith("?"):
            yield start
        yield from (start + match.start() for match in re.finditer(rf"\b(?:nor|no more) {_BE}\b", sentence))


RULES = (
    Rule("long-sentence", f"A sentence has more than {MAX_WORDS} words; make it two.", _long_sentences),
    Rule("noun-clause", "A sentence opens with a What/Whether/How/Who clause; open with its subject or verb.", _noun_clauses),
    Rule("of-opening", "A sentence opens with 'Of ...'; put its subject first.", _openings_with_of),
    Rule("relative-pile", "'of which', 'of whom' or a second 'whose'; start another sentence.", _relative_piles),
    Rule("semicolons", "A sentence has two semicolons; write sentences, or a list.", _semicolon_piles),
    Rule("is-none", "'is none' or 'are none'; write 'there is no X' or 'is not an X'.", _matches(rf"\b{_BE} none\b(?! of)")),
    Rule(
        "is-no",
        "'is no X' for 'is not an X'.",
        _matches(
            rf"(?<!there )(?<!there )\b(?:is|are|was|were) no (?!longer|more|less|fewer|worse|better|different|other|"
            r"larger|smaller|bigger|faster|slower|higher|lower|later|earlier|way\b)"
        ),
    ),
    Rule("told", "'told' or 'tells': write prints, reports, shows, says, reveals, discloses or distinguishes.", _matches(r"\b(?:told|tells)\b")),
    Rule("inversion", "The verb stands before its subject; put the subject first.", _inversions),
    Rule(
        "archaic",
        "An archaic word or phrase; use the everyday one.",
        _matches(r"\b(?:but for|save for|ere|aught|nought|whilst|upon|thereof|therein|whereof|wherein|whereupon|hereby|"
                 r"herein|hitherto|thither|whither|lest|anew|amidst|betwixt)\b"),
    ),
    Rule("doubled", "A word stands twice.", _matches(r"\b(?!that\b|had\b)([a-z]{2,}) \1\b", re.NOFLAG)),
    Rule("small-opening", "A paragraph or docstring opens with a small letter.", _small_openings),
    Rule("line-length", f"A line of a page is longer than {MAX_COLUMNS} columns.", _long_lines),
)  # fmt: skip


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that hold prose in some files and folders; generated and hidden ones are left out."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            folders = file.relative_to(path).parts[:-1]
            hidden = any(part in _SKIPPED_FOLDERS or part.startswith(".") for part in folders)
            if file.suffix in {".md", ".py", ".proto"} and "_pb2" not in file.name and not hidden:
                yield file


def main(arguments: list[str] | None = None) -> int:
    """Prints all findings and how often each rule was broken; returns the exit status."""
    parser = argparse.ArgumentParser(description="Checks prose in Markdown, Python and protocol files.")
    parser.add_argument("paths", nargs="*", type=Path, default=[Path()], help="files and folders to check (default: .)")
    parser.add_argument("--rule", action="append", help="check only this rule; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the rules and end")
    parser.add_argument("--summary", action="store_true", help="print only the number of findings of each file")
    options = parser.parse_args(arguments)
    explanations = {rule.name: rule.explanation for rule in RULES}
    if options.list:
        print("\n".join(f"{name}: {explanation}" for name, explanation in explanations.items()))
        return 0
    findings = [finding for path in files(options.paths) for finding in check(path)]
    findings = [finding for finding in findings if not options.rule or finding.rule in options.rule]
    if options.summary:
        for path, number in Counter(finding.path for finding in findings).most_common():
            print(f"{number:5} {path}")
    else:
        for finding in findings:
            print(
                f"{finding.path}:{finding.line}: {finding.rule}: {explanations[finding.rule]}\n    {finding.excerpt.replace(_CODE, '`...`')}"
            )
    counts = Counter(finding.rule for finding in findings)
    print(f"{len(findings)} findings", *(f"{name} {number}" for name, number in counts.most_common()), sep=", ")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
