"""Types of command-line arguments: each reads a text, or says why it cannot."""

import argparse
from pathlib import Path


def names(text: str) -> list[str]:
    """Reads names with commas between them; a repeated name counts once.

    Raises:
        argparse.ArgumentTypeError: a name is empty.
    """
    parts = [name.strip() for name in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names with commas between them")
    return list(dict.fromkeys(parts))


def filled(text: str) -> str:
    """Returns a text that is not empty.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def folder(text: str) -> Path:
    """Reads a path. An empty text would be the current folder, and is refused.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    return Path(filled(text))


def numbers(text: str) -> list[int]:
    """Reads numbers with commas between them; a repeated number counts once.

    Raises:
        argparse.ArgumentTypeError: a part is not a number.
    """
    try:
        return [int(name) for name in names(text)]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers with commas between them") from error
