"""Checks of what the ledger's columns hold."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from coordinator.errors import LedgerError

R = TypeVar("R")


def is_hash(value: object) -> bool:
    """Returns True for a SHA-256."""
    return isinstance(value, bytes) and len(value) == 32


def parses(kind: type[Message], value: bytes) -> bool:
    """Returns True for a serialised message of this kind."""
    try:
        kind.FromString(value)
    except (DecodeError, TypeError):
        return False
    return True


def expect(whole: bool, row: R, name: str) -> R:
    """Returns a row that is whole.

    Raises:
        LedgerError: it is not.
    """
    if not whole:
        raise LedgerError(
            f"a row of the ledger is damaged: the {name} has values that none can have; restore the ledger together "
            "with the state folder from a copy"
        )
    return row
