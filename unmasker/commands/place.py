"""The options that say where the books are, which all commands share."""

import argparse
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from unmasker.store.books import Books
from unmasker.store.state_folder import StateFolder

DATABASE = "FEDAU2_UNMASKER_DATABASE"
"""A variable for the database's URL, because everybody on a machine can read the arguments of a command."""


def add_place(parser: argparse.ArgumentParser) -> None:
    """Adds `--state` and `--database`."""
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="the state folder: keys, epoch, and SQLite's database"
    )
    parser.add_argument(
        "--database",
        default=os.environ.get(DATABASE),
        metavar="URL",
        help=f"SQLAlchemy URL of PostgreSQL; default: the variable {DATABASE}, or SQLite in the state folder",
    )


def folder(args: argparse.Namespace) -> StateFolder:
    """Returns the state folder."""
    return StateFolder(args.state.absolute())


@contextmanager
def books(args: argparse.Namespace) -> Iterator[Books]:
    """Opens the books.

    Raises:
        UnmaskerError: they cannot be used.
    """
    with closing(Books(folder(args), args.database)) as opened:
        yield opened
