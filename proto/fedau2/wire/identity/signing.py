"""Ed25519 keys: 32 bytes for a public one, 64 for a signature. Each kind of message begins with a context of its own.

It loads `cryptography`, as do `checks` and `log`.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fedau2.wire.errors import IdentityError


def verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Returns True if a signature over a message is by a key. A key or a signature of a wrong length verifies nothing.

    Args:
        public_key: 32 bytes.
        signature: 64 bytes.
        message: the signed bytes, with their context.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Returns the 32 bytes of a private key's public key."""
    return key.public_key().public_bytes_raw()


def read_public(pem: bytes) -> bytes:
    """Returns the 32 bytes of a public key in PEM.

    Raises:
        IdentityError: it is not an Ed25519 public key in PEM.
    """
    try:
        key = load_pem_public_key(pem)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise IdentityError(f"an unmasker's key must be the bytes of a PEM file with a public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise IdentityError("an unmasker's key must be an Ed25519 key, as fedau2-unmasker init prints it")
    return key.public_bytes_raw()
