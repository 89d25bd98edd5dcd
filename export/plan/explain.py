"""Texts of errors in plans and configurations: they name the key by its path and say what would be right."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from export.plan import recommenders
from fedau2.similar import did_you_mean

_EXPECTED: Mapping[str, str] = {
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "string_type": "expected text (put it in quotes)",
    "string_too_short": "expected text",
    "tuple_type": "expected a list",
    "too_short": "expected a list of at least {min_length}",
    "literal_error": "expected one of {expected}",
    "listed": "expected {expected}",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
}
"""By pydantic's name of the error; the text goes on with ", not VALUE"."""

_MAPPING = ("model_type", "model_attributes_type", "dict_type")


def explain(error: ValidationError, section: type[BaseModel], document: Mapping[str, Any]) -> str:
    """Returns the first error of a document, in a line.

    Args:
        error: of the validation.
        section: the schema that the document was validated by.
        document: the document that was validated.
    """
    first = error.errors(include_url=False)[0]
    kind, place = first["type"], first["loc"]
    if kind == "extra_forbidden":
        *parent, key = place
        keys = _keys(section, parent, document)
        hint = _elsewhere(document, key, place) or did_you_mean(str(key), keys)
        return f"{_prefix(parent)}there is no key {key!r}; the keys are {', '.join(keys)}{hint}"
    if kind in _MAPPING:
        keys = _keys(section, place, document)
        return f"{_prefix(place)}expected a mapping with the keys {', '.join(keys)}, not {first['input']!r}"
    if kind == "missing":
        return f"{path(place)} is missing"
    if kind in _EXPECTED:
        context = {name: _plain(value) for name, value in first.get("ctx", {}).items()}
        return f"{_prefix(place)}{_EXPECTED[kind].format(**context)}, not {first['input']!r}"
    return f"{_prefix(place)}{first['msg'].removeprefix('Value error, ')}"


def path(place: Sequence[int | str]) -> str:
    """Returns the path of a key as people write it: `adversaries[0].head`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _prefix(place: Sequence[int | str]) -> str:
    return f"{path(place)}: " if place else ""


def _plain(value: object) -> object:
    return value.replace("'", "") if isinstance(value, str) else value


def _keys(section: type[BaseModel], place: Sequence[int | str], document: Mapping[str, Any]) -> list[str]:
    """Returns the keys that a document may have at a place."""
    current: type[BaseModel] = section
    for part in place:
        if isinstance(part, int):
            continue
        inner = next(filter(_is_section, _types(current.model_fields[part].annotation)))
        if inner is recommenders.Model:
            name = _name(document)
            return [recommenders.NAME, *(key.name for key in recommenders.keys(name))] if name else [recommenders.NAME]
        current = inner
    return list(current.model_fields)


def _types(annotation: Any) -> list[Any]:  # noqa: ANN401
    """Returns a type and those that it is made of."""
    return [annotation, *(inner for part in get_args(annotation) for inner in _types(part))]


def _is_section(kind: Any) -> bool:  # noqa: ANN401
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _name(document: Mapping[str, Any]) -> str:
    """Returns the recommender that a plan or a configuration names; empty if it does not."""
    plan = document.get("plan", document)
    model = plan.get("model") if isinstance(plan, Mapping) else None
    return str(model.get(recommenders.NAME, "")) if isinstance(model, Mapping) else ""


def _elsewhere(document: Mapping[str, Any], key: int | str, place: Sequence[int | str]) -> str:
    """Returns where a recommender's own parameter belongs, if the key is one that was written in `local`."""
    if len(place) < 2 or place[-2] != "local":
        return ""
    names = [known.name for known in recommenders.keys(_name(document))] if _name(document) else []
    return f"; {key} is the recommender's own: write model.{key}" if key in names else ""
