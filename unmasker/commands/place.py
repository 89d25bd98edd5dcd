"""Opens what `--state` and `--database` name, which all commands share."""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager

from unmasker.store.books import Books
from unmasker.store.state_folder import StateFolder


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
