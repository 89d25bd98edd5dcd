"""`fedau2-unmasker backup`: copies the database into a file, also while the unmasker serves."""

import argparse

from unmasker.commands import place


def backup(args: argparse.Namespace) -> int:
    """Runs `backup`."""
    with place.books(args) as books:
        books.copy(args.to.absolute())
    print(f"copied the database to {args.to}: put it back as unmasker.sqlite, and then run new-epoch")
    return 0
