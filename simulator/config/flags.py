"""Command-line flags for the fields of a configuration, what they say, and lists as flags give them."""

import argparse
import dataclasses
import re
from pathlib import Path

from simulator.config.config import CHOICES, Config
from simulator.config.presets import PRESETS, preset


def add(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each field of `Config`, `--preset` and `--k-core`."""
    parser.add_argument("--preset", choices=PRESETS, help="settings under a name; options given beside it change them")
    parser.add_argument("--k-core", type=int, metavar="N", help="short for --user-core N --item-core N")
    told = _told()
    for field in dataclasses.fields(Config):
        flag, choices = f"--{field.name.replace('_', '-')}", CHOICES.get(field.name)
        text = f"{told[field.name]} ({field.default})"
        if field.type is bool or field.type == "bool":
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            parser.add_argument(flag, type=type(field.default), choices=choices, help=text)


def _told() -> dict[str, str]:
    """The line on each attribute in the docstring of `Config`."""
    return dict(re.findall(r"^ +(\w+): (.+)$", Config.__doc__ or "", re.MULTILINE))


def configuration(options: argparse.Namespace, path: Path | None) -> Config:
    """What a file says, changed by a preset and that by what was given.

    Args:
        options: parsed by a parser with `add`.
        path: a run's `config.yaml`; None: defaults.

    Raises:
        ConfigError: it cannot be run.
    """
    base = Config.load(path).to_dict() if path else {}
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(Config)}
    given = {name: value for name, value in given.items() if value is not None}
    if options.k_core is not None:
        base |= {"user_core": options.k_core, "item_core": options.k_core}
    if options.preset:
        base |= preset(options.preset, (base | given).get("model", Config.model))
    return Config.of(base | given)


def names(text: str) -> list[str]:
    """Names with commas between them, each once.

    Raises:
        argparse.ArgumentTypeError: one is empty.
    """
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names with commas between them")
    return list(dict.fromkeys(found))


def filled(text: str) -> str:
    """What is not empty.

    Raises:
        argparse.ArgumentTypeError: it is.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def folder(text: str) -> Path:
    """A path, which an empty text is not: the folder one stands in.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    return Path(filled(text))


def numbers(text: str) -> list[int]:
    """Numbers with commas between them, each once.

    Raises:
        argparse.ArgumentTypeError: one is no number.
    """
    try:
        return [int(name) for name in names(text)]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers with commas between them") from error
