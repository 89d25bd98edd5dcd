"""Lines of code of the scripts: those that hold more than a comment or a docstring."""

import ast
import io
import tokenize
from pathlib import Path

SCRIPTS = ("ours", "with_recbole", "with_flower")

_QUIET = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def count(source: str) -> int:
    """Counts the lines of a module."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _QUIET:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstrings(ast.parse(source)))


def of_scripts() -> dict[str, int]:
    """Counts the lines of each script."""
    return {name: count((Path(__file__).parent / f"{name}.py").read_text("utf-8")) for name in SCRIPTS}


def _docstrings(module: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines
