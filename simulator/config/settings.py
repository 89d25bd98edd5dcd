"""Every setting of a configuration as a flag: its name, type and help, made of the schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from client_sdk.kernel.models import RECOMMENDERS
from export.plan import defaults, recommenders
from export.plan.schema import Plan
from export.plan.types import unit_of, walk
from simulator.config.config import ROUNDS, USUAL_ROUNDS, Config


@dataclass(frozen=True)
class Flag:
    """A flag of a setting.

    Attributes:
        name: with its dashes.
        path: of the setting in a configuration.
        kind: type of its value.
        help: its meaning, unit and default.
    """

    name: str
    path: str
    kind: Any
    help: str


def every() -> Iterator[Flag]:
    """Yields the flag of each setting: its leaf name, or in a plan its path in the plan file."""
    for section in ("data", "engine", "evaluation", "after_training"):
        for leaf, field in walk(_section(section)):
            path = f"{section}.{leaf}"
            yield Flag(dashed(_ALIASES.get(path, leaf)), path, field.annotation, _help(field, _usual(path, field)))
    yield Flag("--model", "plan.model.name", str, f"The recommender: {', '.join(RECOMMENDERS)} ({defaults.MODEL}).")
    for key in sorted({key.name for model in RECOMMENDERS for key in recommenders.keys(model)}):
        yield Flag(dashed(f"model.{key}"), f"plan.model.{key}", Any, _own_help(key))
    for path, field in walk(Plan):
        if path != "model":
            yield Flag(dashed(path), f"plan.{path}", field.annotation, _help(field, _by_model(path)))


_ALIASES = {"engine.name": "engine", "data.bins": "bin"}


def _section(name: str) -> Any:  # noqa: ANN401
    return Config.model_fields[name].annotation


def dashed(path: str) -> str:
    """Returns the flag of a path."""
    return f"--{path.replace('_', '-')}"


def _usual(path: str, field: FieldInfo) -> str:
    if path == "engine.rounds":
        return "; ".join([str(USUAL_ROUNDS), *(f"{model}: {rounds}" for model, rounds in ROUNDS.items())])
    return ",".join(map(str, field.default)) or "none" if isinstance(field.default, tuple) else str(field.default)


def _by_model(path: str) -> str:
    exceptions = (f"{model}: {table[path].value}" for model, table in defaults.OWN.items() if path in table)
    return "; ".join([str(defaults.COMMON[path].value), *exceptions])


def _help(field: FieldInfo, usual: str) -> str:
    unit = f" Unit: {unit_of(field)}." if unit_of(field) else ""
    return f"{field.description}{unit} ({usual})".replace("%", "%%")


def _own_help(name: str) -> str:
    by_model = {model: key for model in RECOMMENDERS for key in recommenders.keys(model) if key.name == name}
    return " ".join(f"{model}: {key.text} ({_plain(key.default)})" for model, key in by_model.items())


def _plain(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
