"""`fedau2-sim datasets`: lists, fetches, checks and describes data sets."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.datasets import NAMES, SOURCES, fetch_known, files, find, load
from simulator.datasets.download import cache
from simulator.errors import ConfigError

ACTIONS = ("list", "fetch", "check", "describe")


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("action", choices=ACTIONS, nargs="?", default="list", help="what to do (%(default)s)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}, or that of your own NAME.inter")
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--user-core", type=int, default=0, help="k-core, items per user; 0: the data set's own")
    parser.add_argument("--item-core", type=int, default=0, help="k-core, users per item; 0: the data set's own")
    parser.add_argument("--balance", metavar="ATTRIBUTE", help="keep equally many users of every class")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_datasets)


def _datasets(options: argparse.Namespace, console: Console) -> None:
    if options.action == "list" and options.names:
        raise ConfigError("datasets list takes no names: it lists all that is known; describe takes them")
    if options.action == "list":
        rows = [_known(name) for name in NAMES]
    elif not options.names:
        raise ConfigError(f"datasets {options.action} needs the name of a data set")
    elif options.action == "fetch" and options.data_dir:
        raise ConfigError(f"datasets fetch fills the cache, {cache()}; --data-dir is for files that are there already")
    elif options.action == "fetch":
        rows = [{"name": name, "folder": str(fetch_known(name))} for name in options.names]
    elif options.action == "check":
        rows = [_check(name, options) for name in options.names]
    else:
        rows = [_load(name, options) for name in options.names]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        console.print(_table(rows))


def _known(name: str) -> dict[str, Any]:
    source = SOURCES.get(name)
    return {"name": name, "files": list(source.files) if source else [], "home": source.home if source else "generated"}


def _load(name: str, options: argparse.Namespace) -> dict[str, Any]:
    if min(options.user_core, options.item_core) < 0:
        raise ConfigError("a k-core cannot be negative")
    cores = {"user_core": options.user_core, "item_core": options.item_core}
    return load(name, options.data_dir, **cores, balance=options.balance).figures()


def _check(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Reads a data set without a cut, and compares its files with the official ones."""
    row: dict[str, Any] = load(name, options.data_dir, user_core=1, item_core=1).figures()
    checksums = SOURCES[name].checksums if name in SOURCES else {}
    if checksums:
        folder = find(name, options.data_dir)
        row["official"] = {
            file: files.is_official(files.chunks(folder, file), expected) for file, expected in checksums.items()
        }
    return row


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table()
    for column in rows[0]:
        table.add_column(column, overflow="fold", justify="right" if isinstance(rows[0][column], int) else "left")
    for row in rows:
        # Text, not str: a name of the data may look like markup.
        table.add_row(*(Text(_text(row.get(column, ""))) for column in rows[0]))
    return table


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        nested = any(isinstance(item, Mapping) for item in value.values())
        return ("\n" if nested else ", ").join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3%}" if isinstance(value, float) else str(value)
