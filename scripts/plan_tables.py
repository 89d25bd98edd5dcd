"""The tables of docs/plans.md, made of the schema and its defaults: `python scripts/plan_tables.py` prints them."""

from collections.abc import Iterator
from typing import Any, Literal, get_origin

from client_sdk.kernel.models import RECOMMENDERS
from export.plan import defaults, recommenders
from export.plan.schema import Adversary, AdversarySettings, Plan
from export.plan.types import unit_of, walk

_WORDS = {
    "adversary.protects": "`embedding`, `all`, `each`, or names",
    "adversary.class_weights": "`none`, `balanced`, or numbers",
    "adversary.prior": "`shares`, `uniform`, or numbers",
    "adversaries": "`all`, `none`, or entries",
    "matching.protects": "`embedding`, `all`, `each`, or names",
    "matchings": "`all`, `none`, or entries",
    "erased": "`all`, `none`, or entries",
}
_KINDS = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}


def settings() -> Iterator[str]:
    """Yields the table of all settings but those of `model`, line by line."""
    yield from _head("key", "value", "default", "source of the default", "meaning")
    for path, field in walk(Plan):
        if path != "model":
            own = [f"{model}: {_written(table[path])}" for model, table in defaults.OWN.items() if path in table]
            default = "; ".join([_written(defaults.COMMON[path]), *own])
            yield _row(
                f"`{path}`", _kind(path, field.annotation, unit_of(field)), default, _source(path), field.description
            )


def models() -> Iterator[str]:
    """Yields the table of the keys that recommenders have in `model`."""
    yield from _head("recommender", "key", "value", "default", "meaning")
    for model in RECOMMENDERS:
        for key in recommenders.keys(model):
            kind = _KINDS.get(key.kind, "list of whole numbers")
            yield _row(f"`{model}`", f"`model.{key.name}`", kind, _plain(key.default), key.text)


def entries() -> Iterator[str]:
    """Yields the table of the keys that only entries of `adversaries` have."""
    yield from _head("key", "value", "meaning")
    for name, field in Adversary.model_fields.items():
        if name not in AdversarySettings.model_fields:
            kind = "list of texts" if name == "classes" else "text"
            yield _row(f"`{name}`", kind, field.description)


def _source(path: str) -> str:
    own = [f"{model}: {table[path].source}" for model, table in defaults.OWN.items() if path in table]
    return "; ".join([defaults.COMMON[path].source, *own])


def _written(default: defaults.Default) -> str:
    return f"`{_plain(default.value)}`"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _kind(path: str, annotation: Any, unit: str) -> str:  # noqa: ANN401
    if path in _WORDS:
        return _WORDS[path]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{word}`" for word in annotation.__args__)
    return f"{_KINDS[annotation]}, {unit}" if unit else _KINDS[annotation]


def _head(*titles: str) -> Iterator[str]:
    yield _row(*titles)
    yield _row(*["---"] * len(titles))


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


TABLES = {"settings": settings, "models": models, "entries": entries}
"""By the name that the page's comments give them."""


if __name__ == "__main__":
    for name, table in TABLES.items():
        print(f"<!-- {name} -->", *table(), f"<!-- end of {name} -->", sep="\n")
