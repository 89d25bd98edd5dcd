"""Checks the prose of pages, docstrings, comments, help and error texts: `python -m scripts.prose [PATH...]`.

* `fragments`: reads paragraphs, list items, table cells and strings out of files
* `rules`: the rules, each with a name, an explanation and a function
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.prose.fragments import READERS
from scripts.prose.rules import RULES

_SKIPPED_FOLDERS = {"build", "dist", "runs", "node_modules", "site"}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A place that breaks a rule, with its sentence."""

    path: Path
    line: int
    rule: str
    excerpt: str


def check(path: Path) -> list[Finding]:
    """All findings in a Markdown page, a Python module or a protocol file."""
    findings = []
    for fragment in READERS[path.suffix](path.read_text("utf-8")):
        for rule in RULES:
            for offset in rule.offsets(fragment):
                excerpt = next(text for start, text in reversed(fragment.sentences) if start <= offset)
                findings.append(Finding(path, fragment.line_of(offset), rule.name, excerpt))
    return sorted(set(findings))


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that hold prose, out of files and folders. Generated files and hidden folders are left out."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            folders = file.relative_to(path).parts[:-1]
            hidden = any(part in _SKIPPED_FOLDERS or part.startswith(".") for part in folders)
            if file.suffix in READERS and "_pb2" not in file.name and not hidden:
                yield file
