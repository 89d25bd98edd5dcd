"""Reads the public key of an unmasker, as `fedau2-unmasker init` writes it."""

from pathlib import Path

from export.errors import KeyFileError
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import signing


def read(path: Path) -> bytes:
    """Returns the key, 32 bytes.

    Args:
        path: a file with a public Ed25519 key in PEM.

    Raises:
        KeyFileError: the file cannot be read, or holds something else.
    """
    try:
        return signing.read_public(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error}") from error
    except IdentityError as error:
        raise KeyFileError(f"{path}: {error}") from error
