"""Locals that say little, and public names without a docstring."""

import ast
from collections.abc import Iterator

from scripts.house.modules import Module

VAGUE = frozenset(
    ("each", "found", "own", "what", "told", "one", "kept", "here", "there", "shown", "given", "asked", "wanted")
)
"""Names of locals that do not say what they hold."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def functions(module: Module) -> Iterator[Function]:
    """Yields every function and method of a module, inner ones too."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield node


def names_of(function: Function) -> set[str]:
    """The parameters of a function and all names that it binds.

    Targets of assignments, loops, comprehensions, `with`, `except`, `:=` and `match` count, and parameters of lambdas.
    An inner function or class has names of its own.
    """
    names: set[str] = set()
    waiting: list[ast.AST] = [function.args, *function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)
    return names


def undocumented(module: Module) -> Iterator[str]:
    """Yields the public modules, classes, functions and methods that have no docstring."""
    if not any(part.startswith("_") for part in module.name.split(".")):
        if not ast.get_docstring(module.tree):
            yield module.name
        yield from _undocumented(module.tree, module.name)


def _undocumented(scope: ast.Module | ast.ClassDef, name: str) -> Iterator[str]:
    for node in scope.body:
        if isinstance(node, _SCOPES) and not node.name.startswith("_") and not _is_exempt(node):
            if not ast.get_docstring(node):
                yield f"{name}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _undocumented(node, f"{name}.{node.name}")


def _is_exempt(node: Function | ast.ClassDef) -> bool:
    """Overrides, overloads and setters share the docstring of another function."""
    names = {decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
             for decorator in node.decorator_list}  # fmt: skip
    return bool(names & {"override", "overload", "setter"})
