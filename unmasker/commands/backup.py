"""`fedau2-unmasker backup`: copies the database into a file, also while the unmasker serves."""

import argparse
from pathlib import Path

from unmasker.commands import place


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `backup`."""
    parser.set_defaults(run=_backup)
    place.add_place(parser)
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="a file that is not there yet")


def _backup(args: argparse.Namespace) -> int:
    with place.books(args) as books:
        books.copy(args.to.absolute())
    print(f"copied the database to {args.to}: put it back as unmasker.sqlite, and then run new-epoch")
    return 0
