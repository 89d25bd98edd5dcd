"""`fedau2-sim datasets import`: makes a data set of tables with separators, or of JSON lines."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.commands.dataset_table import show
from simulator.config import arguments, flags

if TYPE_CHECKING:
    from rich.console import Console


def add(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = actions.add_parser("import", help="make a data set of CSV, TSV or JSON lines files")
    parser.add_argument(
        "interactions", type=Path, metavar="FILE", help="a row for each interaction, below a header; or JSON lines"
    )
    parser.add_argument("--users", type=Path, metavar="FILE", help="a row for each user, with the attributes")
    parser.add_argument(
        "--columns", type=arguments.names, help="names of FILE's columns, if it has no header: user,item,rating,time"
    )
    parser.add_argument("--users-columns", type=arguments.names, help="the same for the file of --users")
    parser.add_argument(
        "--out", type=arguments.folder, required=True, help="the folder to make; its name is that of the data set"
    )
    parser.add_argument(
        "--attributes", type=arguments.names, help="columns of attributes, of FILE without --users (all of --users)"
    )
    parser.add_argument(
        "--delimiter", type=_delimiter, metavar="CHARACTER", help="between fields, or tab (tab for .tsv, else a comma)"
    )
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    flags.add_own_files(parser, "min_rating")
    parser.set_defaults(command=_import)


def _delimiter(text: str) -> str:
    character = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(character) != 1 or character in '"\r\n' or not character.isascii():
        raise argparse.ArgumentTypeError(f"{text!r} is not a character such as ; or |, nor the word tab")
    return character


def _import(options: argparse.Namespace, console: "Console") -> None:
    from simulator.datasets import importing  # here, because help needs no data

    request = importing.Request(
        options.interactions,
        options.out,
        options.users,
        options.attributes,
        options.delimiter,
        options.columns,
        options.users_columns,
        flags.own_files(options),
    )
    with ended_cleanly():
        dataset = importing.make(request)
    show([dataset.figures()], options.json, console)
    if not options.json:
        console.print(f"Use it with --dataset {options.out.name} --data-dir {options.out.parent}", markup=False)


@contextmanager
def ended_cleanly() -> Iterator[None]:
    """Lets SIGTERM end the block as an error does, so that nothing is left."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
