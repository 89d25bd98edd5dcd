"""Reads prose out of files: paragraphs, list items, table cells, docstrings, comments, help and error texts."""

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal

CODE = "CODE"
"""Stands for a code span in the text of a fragment."""

Kind = Literal["page", "item", "cell", "heading", "line", "docstring", "entry", "comment", "help", "error"]
Lines = Iterable[tuple[int, str]]

_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|eq|Eq|fig|Fig|no|sec|Sec|approx|Dr|St|[A-Z])|\.\.)\.$")
_SENTENCE_END = re.compile(r"[.!?][\"')\]*_]*\s+(?=[\"'(\[*_]*[A-Z0-9])")
_DOC_SECTION = re.compile(r"(Args|Returns|Yields|Raises|Attributes|Note|Notes|Example|Examples|Warning):\s*$")
_DOC_ENTRY = re.compile(r"\*{0,2}[\w.`, \[\]]{1,60}?(?: \([^)]*\))?: ")
_LIST_ITEM = re.compile(r"(?:[*+-]|\d+[.)])\s+")
_DRAWING = re.compile(r"[─│┌┐└┘├┤┬┴┼▼▲▶◀]|^\s*[|+][-=+|]{3,}")
_DIRECTIVE = re.compile(r"#\s*(?:noqa|type:|fmt:|pragma|mypy:|ruff:|pylint:|!)")
_TRAILING_DIRECTIVE = re.compile(r"\s#\s*(?:noqa|type:\s*ignore).*$")


@dataclass(frozen=True)
class Fragment:
    """A piece of prose that is read as a whole.

    Args:
        kind: the place that it comes from. `entry` is an entry of a docstring's section such as `Args:`. `line` is a
            whole line of a page, for rules about its length.
        lines: the number of each line and its text, without bullets and quotes.
    """

    kind: Kind
    lines: tuple[tuple[int, str], ...]

    @cached_property
    def text(self) -> str:
        """The lines as one line, with code spans, links and URLs reduced to words."""
        return self._reduced.replace("\n", " ")

    @cached_property
    def sentences(self) -> list[tuple[int, str]]:
        """The offset in `text` and the text of each sentence."""
        sentences, start = [], 0
        for end in _SENTENCE_END.finditer(self.text):
            if not _ABBREVIATION.search(self.text[: end.start() + 1]):
                sentences.append((start, self.text[start : end.end()].rstrip()))
                start = end.end()
        return [*sentences, (start, self.text[start:].rstrip())]

    def line_of(self, offset: int) -> int:
        """Number of the line that holds a character of `text`."""
        before = self._reduced.count("\n", 0, offset)
        return self.lines[min(before, len(self.lines) - 1)][0]

    @cached_property
    def _reduced(self) -> str:
        text = "\n".join(text.strip() for _, text in self.lines)
        text = re.sub(
            r"(`+)(?!`).+?(?<!`)\1(?!`)", lambda span: CODE + "\n" * span[0].count("\n"), text, flags=re.DOTALL
        )
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
        return re.sub(r"<?https?://\S+", "URL", text).replace("**", "")


def page(source: str) -> Iterator[Fragment]:
    """The fragments of a Markdown page. Comments are left out. Only the length of lines is read of code blocks."""
    source = re.sub(r"<!--.*?-->", lambda comment: "\n" * comment[0].count("\n"), source, flags=re.DOTALL)
    lines = [*enumerate(source.split("\n"), 1)]
    for line in lines:
        yield Fragment("line", (line,))
    yield from _blocks(lines, "page")


def module(source: str) -> Iterator[Fragment]:
    """The fragments of a Python module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr):
            yield from _docstring(node.value)
        elif isinstance(node, ast.keyword) and node.arg in {"help", "description", "epilog"}:
            yield from _string(node.value, "help")
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "help":
                    yield from _string(value, "help")
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in node.exc.args:
                yield from _string(argument, "error")
    yield from _comments(source)


def protocol(source: str) -> Iterator[Fragment]:
    """The comments of a protocol file."""
    comments = [(n, line.partition("//")[2].strip()) for n, line in enumerate(source.split("\n"), 1) if "//" in line]
    for _, group in groupby(enumerate(comments), lambda pair: pair[1][0] - pair[0]):
        yield from _blocks([line for _, line in group], "comment")


READERS: Mapping[str, Callable[[str], Iterator[Fragment]]] = {".md": page, ".py": module, ".proto": protocol}
"""The reader for each suffix."""


def _docstring(node: ast.expr) -> Iterator[Fragment]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        blank = len(node.value) - len(node.value.lstrip("\n"))
        lines = inspect.cleandoc(node.value).split("\n")
        yield from _blocks([*enumerate(lines, node.lineno + blank)], "docstring")


def _string(node: ast.expr, kind: Kind) -> Iterator[Fragment]:
    """A string, or an f-string with each value reduced to a word."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    elif isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else CODE for part in node.values)
    else:
        return
    yield Fragment(kind, ((node.lineno, " ".join(text.split())),))


def _comments(source: str) -> Iterator[Fragment]:
    """Comments. Those on lines of their own that follow each other are one fragment."""
    block: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or _DIRECTIVE.match(token.string):
            continue
        alone, line = token.line.lstrip().startswith("#"), token.start[0]
        if block and not (alone and block[-1][0] == line - 1):
            yield from _blocks(block, "comment")
            block = []
        block.append((line, _TRAILING_DIRECTIVE.sub("", token.string).lstrip("#: ")))
    yield from _blocks(block, "comment")


def _blocks(lines: Lines, kind: Kind) -> Iterator[Fragment]:
    """Paragraphs, list items, entries of sections, headings and cells. Code and drawings are left out."""
    blocks = _Blocks(kind)
    for number, line in lines:
        blocks.add(number, line)
    blocks.end()
    return iter(blocks.fragments)


class _Blocks:
    """Collects the fragments of a text, line by line."""

    def __init__(self, kind: Kind) -> None:
        self.fragments: list[Fragment] = []
        self._kind: Kind = kind
        self._kind_of_block: Kind = kind
        self._lines: list[tuple[int, str]] = []
        self._fence = ""
        self._in_section = False

    def add(self, number: int, line: str) -> None:
        text = line.strip()
        if self._is_code(text) or _DRAWING.search(line):
            self.end()
        elif self._opens(number, line, text):
            pass
        elif text and (self._lines or self._in_section or not line.startswith("    ")):
            self._lines.append((number, text))
        elif not text:
            self.end()

    def end(self) -> None:
        """Ends a paragraph, item or entry."""
        if self._lines:
            self.fragments.append(Fragment(self._kind_of_block, tuple(self._lines)))
        self._lines, self._kind_of_block = [], "entry" if self._in_section else self._kind

    def _is_code(self, text: str) -> bool:
        mark = re.match(r"`{3,}|~{3,}", text)
        if mark and not (self._fence and text != self._fence):
            self._fence = "" if self._fence else mark[0]
            return True
        return bool(self._fence) or text.startswith((">>>", "... "))

    def _opens(self, number: int, line: str, text: str) -> bool:
        """Collects a line that opens a block of its own. Returns False for any other line."""
        item, kind = _LIST_ITEM.match(text), self._kind
        entry = _DOC_ENTRY.match(text) if self._in_section and not line.startswith(" " * 8) else None
        if kind == "docstring" and _DOC_SECTION.match(text):
            self._in_section = True
            self.end()
        elif text.startswith("#") and kind == "page":
            self._single("heading", number, text.lstrip("# "))
        elif text.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", text.strip("|")):
                self._single("cell", number, cell.strip())
        elif item or entry:
            self.end()
            self._kind_of_block = "item" if item else "entry"
            self._lines.append((number, text[(item or entry).end() :]))  # type: ignore[union-attr]
        else:
            return False
        return True

    def _single(self, kind: Kind, number: int, text: str) -> None:
        self.end()
        self.fragments.append(Fragment(kind, ((number, text),)))
