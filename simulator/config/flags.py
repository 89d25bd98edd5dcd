"""Command-line flags of a configuration, made of its schema, and the layers of settings that they override."""

import argparse
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from export.errors import PlanError
from export.plan import planfile, strict_yaml
from export.plan.fragments import Fragment, flat, merge, nest
from simulator.config.config import Config, model_of, read
from simulator.config.own_files import OwnFiles
from simulator.config.presets import METHOD, PRESETS, preset
from simulator.config.settings import Flag, dashed, every
from simulator.errors import ConfigError

_WORDS = ("embedding", "all", "each", "none", "balanced", "shares", "uniform")
_LISTS = ("data.attributes", "plan.adversary.protects", "plan.adversary.class_weights", "plan.adversary.prior")

_REPEATED = {"data.bins": "COLUMN=A,B"}
"""Lists whose flag is given once for every entry."""

PRECEDENCE = "Each of these overrides those before it: the defaults, --config, --preset, --plan, and the other options."


def add(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each setting, and `--preset`, `--plan` and `--k-core`."""
    parser.epilog = PRECEDENCE
    parser.add_argument("--preset", choices=PRESETS, help="a method by name: it sets all that makes a method")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="a plan file (docs/plans.md)")
    parser.add_argument("--k-core", type=int, metavar="N", help="short for --user-core N --item-core N")
    groups = {name: parser.add_argument_group(name) for name in Config.model_fields}
    for flag in every():
        _add(groups[flag.path.partition(".")[0]], flag)


def add_own_files(parser: argparse.ArgumentParser, *left_out: str) -> None:
    """Adds a flag for each setting of `OwnFiles` but some."""
    paths = {f"data.{name}" for name in OwnFiles.model_fields if name not in left_out}
    for flag in every():
        if flag.path in paths:
            _add(parser, flag)


def own_files(options: argparse.Namespace) -> OwnFiles:
    """Returns the settings that `add_own_files` made flags of.

    Raises:
        ConfigError: a value cannot be followed.
    """
    return Config.of(given(options)).data


def _add(parser: "argparse._ActionsContainer", flag: Flag) -> None:
    options: dict[str, Any] = {"dest": flag.path, "default": None, "help": flag.help}
    if flag.kind is bool:
        parser.add_argument(flag.name, action=argparse.BooleanOptionalAction, **options)
        return
    if flag.path in _REPEATED:
        parser.add_argument(flag.name, action="append", metavar=_REPEATED[flag.path], **options)
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
    flagged, below = nest(given(options)), {}
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


def given(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the settings whose flags were given, by path.

    Raises:
        ConfigError: a value cannot be read.
    """
    values = {flag.path: getattr(options, flag.path, None) for flag in every()}
    return {path: _value(path, value) for path, value in values.items() if value is not None}


def _value(path: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    if path in _LISTS:
        return value if value in _WORDS else [part.strip() for part in value.split(",")]
    if path in ("plan.adversaries", "evaluation.k") or (path.startswith("plan.model.") and path != "plan.model.name"):
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
        flag, entries = dashed(f"{section}.{leaf}"), config.plan.adversaries
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
        elif flag.path in _REPEATED:
            arguments += [word for entry in mine[flag.path] or () for word in (flag.name, entry)]
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
