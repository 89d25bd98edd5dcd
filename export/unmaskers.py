"""Reads the public keys of unmaskers, as `fedau2-unmasker init` writes them."""

from collections.abc import Iterable
from pathlib import Path

from export.errors import KeyFileError
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import signing


def read(paths: Iterable[Path]) -> list[bytes]:
    """Returns the keys, 32 bytes each.

    Args:
        paths: files with a public Ed25519 key in PEM.

    Raises:
        KeyFileError: a file cannot be read, or holds something else.
    """
    return [_read(path) for path in paths]


def _read(path: Path) -> bytes:
    try:
        return signing.read_public(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error}") from error
    except IdentityError as error:
        raise KeyFileError(f"{path}: {error}") from error
