"""Reads the settings of `fedau2-coordinator serve` from a TOML file, the environment and flags; a later source wins."""

import argparse
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from coordinator.commands import parsers
from coordinator.commands.environment import PREFIX, variables
from coordinator.commands.settings import Settings
from coordinator.errors import SettingError
from fedau2.wire.errors import AddressError


@dataclass(frozen=True)
class Loaded:
    """Settings, and the source of each: "default", a file, a variable or a flag."""

    settings: Settings
    sources: Mapping[str, str]

    def describe(self) -> list[str]:
        """Writes a line per setting. The password of a database URL is masked."""
        width = max(map(len, self.sources))
        lines = []
        for name, source in self.sources.items():
            value = getattr(self.settings, name)
            lines.append(f"{name:{width}} = {_masked(_written(value))}  ({source})")
        return lines


def _written(value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(value) or None
    return "-" if value is None else str(value)


def _masked(text: str) -> str:
    """Hides the passwords of a URL, before its host and among its options."""
    text = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", text)
    return re.sub(r"([?&][a-z]*password=)[^&]*", r"\1***", text)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for every setting, and `--config`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings, by the flags' names")
    for setting in fields(Settings):
        default = "" if setting.default in (None, ()) else f" (default: {setting.default})"
        metavar, text = setting.metadata["metavar"], setting.metadata["help"]
        action = "append" if setting.default == () else "store"
        parser.add_argument(_flag(setting.name), action=action, metavar=metavar, help=f"{text}{default}")


def load(args: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Loaded:
    """Reads the settings from file, environment and flags.

    Args:
        args: parsed by a parser with `add_flags`.
        environment: variables by name.

    Raises:
        SettingError: a setting cannot be used; the text names the file, variable or flag.
    """
    from coordinator.commands.settings_check import check  # here, because help does not need the engine

    known = {setting.name: setting for setting in fields(Settings)}
    sourced: dict[str, tuple[object, str]] = {}
    if args.config is not None:
        sourced |= {name: (value, f"file {args.config}") for name, value in _file(args.config).items()}
    for variable, text in variables(environment).items():
        sourced[variable.removeprefix(PREFIX).lower()] = (text, f"variable {variable}")
    sourced |= {name: (value, f"flag {_flag(name)}") for name in known if (value := getattr(args, name)) is not None}
    values: dict[str, Any] = {}
    sources = dict.fromkeys(known, "default")
    for name, (value, source) in sourced.items():
        if name not in known:
            raise SettingError(f"{source}: there is no setting {name!r}; there are {', '.join(known)}")
        values[name], sources[name] = _parsed(name, known[name].metadata, value, source), source
    return Loaded(check(Settings(**values)), sources)


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"file {path} cannot be read: {error}") from error


def _parsed(name: str, metadata: Mapping[str, Any], value: object, source: str) -> object:
    if (
        isinstance(value, list)
        and metadata["parse"] is parsers.origins
        and all(isinstance(origin, str) for origin in value)
    ):
        value = ",".join(value)
    wrong = SettingError(
        f"{source}: {name} must be {metadata['metavar']} ({metadata['help']}), not {_masked(repr(value))}"
    )
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise wrong
    try:
        return metadata["parse"](str(value))
    except AddressError as error:
        raise SettingError(f"{source}: {name} must be {metadata['metavar']}: {error}") from error
    except ValueError as error:
        raise wrong from error


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
