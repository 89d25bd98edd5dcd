"""Command-line flags of a configuration, made of its schema, and the layers of settings that they override."""

import argparse
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic.fields import FieldInfo

from client_sdk.kernel.models import RECOMMENDERS
from export.errors import PlanError
from export.plan import defaults, planfile, recommenders, strict_yaml
from export.plan.fragments import Fragment, flat, merge, nest
from export.plan.schema import Plan
from export.plan.types import unit_of, walk
from simulator.config.config import ROUNDS, USUAL_ROUNDS, Config, model_of, read
from simulator.config.presets import METHOD, PRESETS, preset
from simulator.errors import ConfigError

_WORDS = ("embedding", "all", "each", "none", "balanced", "shares", "uniform")
_LISTS = ("data.attributes", "plan.adversary.protects", "plan.adversary.class_weights", "plan.adversary.prior")

PRECEDENCE = "Each of these overrides those before it: the defaults, --config, --preset, --plan, and the other options."


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
            yield Flag(_dashed(_ALIASES.get(path, leaf)), path, field.annotation, _help(field, _usual(path, field)))
    yield Flag("--model", "plan.model.name", str, f"The recommender: {', '.join(RECOMMENDERS)} ({defaults.MODEL}).")
    for key in sorted({key.name for model in RECOMMENDERS for key in recommenders.keys(model)}):
        yield Flag(_dashed(f"model.{key}"), f"plan.model.{key}", Any, _own_help(key))
    for path, field in walk(Plan):
        if path != "model":
            yield Flag(_dashed(path), f"plan.{path}", field.annotation, _help(field, _by_model(path)))


_ALIASES = {"engine.name": "engine"}


def _section(name: str) -> Any:  # noqa: ANN401
    return Config.model_fields[name].annotation


def _dashed(path: str) -> str:
    return f"--{path.replace('_', '-')}"


def _usual(path: str, field: FieldInfo) -> str:
    if path == "engine.rounds":
        return "; ".join([str(USUAL_ROUNDS), *(f"{model}: {rounds}" for model, rounds in ROUNDS.items())])
    return ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)


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


def add(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each setting, and `--preset`, `--plan` and `--k-core`."""
    parser.epilog = PRECEDENCE
    parser.add_argument("--preset", choices=PRESETS, help="a method by name: it sets all that makes a method")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="a plan file (docs/plans.md)")
    parser.add_argument("--k-core", type=int, metavar="N", help="short for --user-core N --item-core N")
    groups = {name: parser.add_argument_group(name) for name in Config.model_fields}
    for flag in every():
        _add(groups[flag.path.partition(".")[0]], flag)


def _add(parser: "argparse._ArgumentGroup", flag: Flag) -> None:
    options: dict[str, Any] = {"dest": flag.path, "default": None, "help": flag.help}
    if flag.kind is bool:
        parser.add_argument(flag.name, action=argparse.BooleanOptionalAction, **options)
        return
    if get_origin(flag.kind) is Literal:
        options["choices"] = flag.kind.__args__
    else:
        options["type"] = flag.kind if flag.kind in (int, float, str) else str
        options["metavar"] = _metavar(flag)
    parser.add_argument(flag.name, **options)
    if "-" in flag.name[2:]:
        underscored = f"--{flag.name[2:].replace('-', '_')}"
        parser.add_argument(underscored, **options | {"help": argparse.SUPPRESS})


def _metavar(flag: Flag) -> str:
    if flag.path in _LISTS:
        return "A,B"
    return {int: "N", float: "X", str: "NAME"}.get(flag.kind, "VALUE")


def configuration(options: argparse.Namespace, path: Path | None) -> Config:
    """Lays a configuration file, a preset, a plan file and flags over the defaults, in this order.

    Args:
        options: parsed by a parser with `add`.
        path: a run's `config.yaml`; None: no file.

    Raises:
        ConfigError: it cannot be run.
        ExportError: the plan file cannot be used.
    """
    flagged, below = nest(_given(options)), {}
    if path:
        Config.load(path)  # its errors name the file
        below = nest(read(path))
    if options.k_core is not None:
        below = merge(below, {"data": {"user_core": options.k_core, "item_core": options.k_core}})
    planned = {"plan": nest(planfile.document(options.plan))} if options.plan else {}
    model = model_of(below, planned, flagged)
    if options.preset:
        below = merge(_without(below, METHOD), nest(preset(options.preset, model)))
    if options.plan:
        _check_plan(options.plan, planned["plan"], model)
        planned = merge({"plan": {"model": {"name": model}}}, planned)
    config = Config.of(below, planned, flagged)
    _expect_effect(config, [path for path, _ in flat(flagged)])
    return config


def _given(options: argparse.Namespace) -> dict[str, Any]:
    values = {flag.path: getattr(options, flag.path) for flag in every()}
    return {path: _value(path, value) for path, value in values.items() if value is not None}


def _value(path: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    if path in _LISTS:
        return value if value in _WORDS else [part.strip() for part in value.split(",")]
    if path == "plan.adversaries" or (path.startswith("plan.model.") and path != "plan.model.name"):
        try:
            return strict_yaml.load(f"[{value}]" if "," in value and value[0] not in "[{" else value)
        except PlanError as error:
            raise ConfigError(f"{path}: {value!r} is {error}") from error
    return value


def _without(fragment: Fragment, paths: Iterable[str]) -> dict[str, Any]:
    """Returns a nested fragment without some settings and sections."""
    left = dict(fragment)
    for path in paths:
        first, _, rest = path.partition(".")
        if rest and isinstance(left.get(first), Mapping):
            left[first] = _without(left[first], [rest])
        elif not rest:
            left.pop(first, None)
    return left


def _check_plan(path: Path, document: Fragment, model: str) -> None:
    try:
        planfile.complete(document, model)
    except PlanError as error:
        raise ConfigError(f"{path}: {error}") from error


def _expect_effect(config: Config, paths: Iterable[str]) -> None:
    """Checks that flags of `adversary` apply to every adversary.

    Raises:
        ConfigError: there is no adversary, or one has a value of its own.
    """
    for path in paths:
        section, _, leaf = path.removeprefix("plan.").partition(".")
        if section != "adversary":
            continue
        flag, entries = _dashed(f"{section}.{leaf}"), config.plan.adversaries
        if entries == ():
            raise ConfigError(f"{flag} has no effect: there is no adversary; give --adversaries all too")
        if owner := next((entry for entry in entries or () if leaf in entry.own()), None):
            raise ConfigError(
                f"{flag} has no effect on the adversary of {owner.attribute}, whose own entry says {leaf}"
            )


def words(config: Config, always: Collection[str] = ()) -> list[str]:
    """Returns the flags that make a configuration of the defaults.

    Args:
        config: the configuration.
        always: paths of settings that are given even where they are the default.
    """
    mine = dict(flat(config.document()))
    usual = dict(flat(Config.of({"plan.model.name": config.plan.model.name}).document()))
    arguments: list[str] = []
    for flag in every():
        value = mine.get(flag.path)
        if flag.path not in mine or (value == usual[flag.path] and flag.path not in always):
            continue
        if isinstance(value, bool):
            arguments.append(flag.name if value else f"--no-{flag.name[2:]}")
        else:
            arguments += [flag.name, written(value)]
    return arguments


def written(value: object) -> str:
    """Returns a value as a flag takes it."""
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], str):
        return json.dumps(value)
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return str(value)


def names(text: str) -> list[str]:
    """Reads names with commas between them; a repeated name counts once.

    Raises:
        argparse.ArgumentTypeError: a name is empty.
    """
    parts = [name.strip() for name in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names with commas between them")
    return list(dict.fromkeys(parts))


def filled(text: str) -> str:
    """Returns a text that is not empty.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def folder(text: str) -> Path:
    """Reads a path. An empty text would be the current folder, and is refused.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    return Path(filled(text))


def numbers(text: str) -> list[int]:
    """Reads numbers with commas between them; a repeated number counts once.

    Raises:
        argparse.ArgumentTypeError: a part is not a number.
    """
    try:
        return [int(name) for name in names(text)]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers with commas between them") from error
