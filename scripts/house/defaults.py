"""The places where a default of the plan is written: a name beside a number other than 0."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from scripts.house.modules import Module

NAMES = (
    *("server_learning_rate", "adversary_learning_rate", "private_learning_rate", "shared_learning_rate"),
    *("learning_rate", "epsilon", "variance", "negatives", "chunk", "l1_weight", "kl_cap", "kl_anneal_rounds"),
    *("dropout", "pretrain_rounds", "minimum_separation"),
)
"""Names of hyper-parameters of a plan."""

_IN_YAML = re.compile(r"\b(\w+): *([-+.\deE]+)")


def in_module(module: Module) -> Iterator[tuple[str, int, str]]:
    """Yields name, line and value of each: an assignment, a field, a parameter's default, an argument, a key."""
    for node in ast.walk(module.tree):
        for name, value in _pairs(node):
            if name in NAMES and isinstance(value, ast.Constant) and _is_number(value.value) and value.value:
                yield name, value.lineno, str(value.value)


def in_yaml(path: Path) -> Iterator[tuple[str, int, str]]:
    """Yields name, line and value of each key of a YAML file. Adam's epsilon is not the adversary's."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        for name, value in _IN_YAML.findall(re.sub(r"\{ *kind: adam.*", "", line.partition("#")[0])):
            if name in NAMES:
                yield name, number, value
        for name, value in _IN_YAML.findall(line if "kind: adam" in line else ""):
            if name == "learning_rate":
                yield name, number, value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _first(value: ast.expr) -> ast.expr:
    """The value itself, or the first argument of a call: `Default(0.003, "source")`."""
    return value.args[0] if isinstance(value, ast.Call) and value.args else value


def _pairs(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            yield name, value
        case ast.keyword(arg=str(name), value=value):
            yield name, value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value).rpartition(".")[2], _first(value)
        case ast.arguments(args=positional, defaults=defaults, kwonlyargs=keywords, kw_defaults=keyword_defaults):
            yield from zip((a.arg for a in positional[len(positional) - len(defaults) :]), defaults, strict=True)
            yield from zip((a.arg for a in keywords), keyword_defaults, strict=True)
