"""`fedau2-sim datasets`: lists, fetches, checks and describes data sets."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.commands import datasets_import
from simulator.commands.dataset_table import show
from simulator.config import flags
from simulator.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

ACTIONS = {
    "list": "list the known data sets",
    "fetch": "download data sets into the cache",
    "check": "read data sets without a cut, and compare their files with the official ones",
    "describe": "read data sets and describe them",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_datasets, action="list", names=[])
    actions = parser.add_subparsers(metavar="ACTION", help=f"{', '.join((*ACTIONS, 'import'))} (list)")
    for action, does in ACTIONS.items():
        _add_named(actions.add_parser(action, help=does), action)
    datasets_import.add(actions)


def _add_named(parser: argparse.ArgumentParser, action: str) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="as `datasets list` prints it, or that of your own NAME.inter"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of the data set, or the folder above it")
    parser.add_argument("--user-core", type=int, default=0, help="k-core, items per user; 0: the data set's own")
    parser.add_argument("--item-core", type=int, default=0, help="k-core, users per item; 0: the data set's own")
    parser.add_argument("--balance", metavar="ATTRIBUTE", help="keep equally many users of every class")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    flags.add_own_files(parser)
    parser.set_defaults(action=action)


def _datasets(options: argparse.Namespace, console: "Console") -> None:
    from simulator.datasets import fetch_known, names  # here, because help needs no data
    from simulator.datasets.download import cache

    if options.action == "list" and options.names:
        raise ConfigError("datasets list takes no names: it lists all that is known; describe takes them")
    if options.action == "list":
        rows = [_known(name) for name in names()]
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
    show(rows, options.json, console)


def _known(name: str) -> dict[str, Any]:
    from simulator.datasets import SOURCES

    source = SOURCES.get(name)
    return {"name": name, "files": list(source.files) if source else [], "home": source.home if source else "generated"}


def _load(name: str, options: argparse.Namespace) -> dict[str, Any]:
    from simulator.datasets import load

    if min(options.user_core, options.item_core) < 0:
        raise ConfigError("a k-core cannot be negative")
    cores = {"user_core": options.user_core, "item_core": options.item_core}
    settings = flags.own_files(options)
    return load(name, options.data_dir, **cores, balance=options.balance, settings=settings).figures()


def _check(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Reads a data set without a cut, and compares its files with the official ones."""
    from simulator.datasets import files, find, load, synthetic

    settings = flags.own_files(options)
    row: dict[str, Any] = load(name, options.data_dir, user_core=1, item_core=1, settings=settings).figures()
    place = None if name == synthetic.NAME else find(name, options.data_dir)
    if place and place.source and place.source.checksums:
        row["official"] = {
            file: files.is_official(files.chunks(place.folder, file), expected)
            for file, expected in place.source.checksums.items()
        }
    return row
