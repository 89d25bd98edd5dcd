"""The opening of a masked contribution: the mask's seed, sealed to the key of the round with the device's word.

A contribution travels as the packed masked vector and then this sealed opening. The coordinator can read neither. The
unmasker gets the opening and never the vector. Needs `cryptography`, which is imported when something is sealed.

| bytes of an opening | what |
|---|---|
| 0 | version, 1 |
| 1 to 32 | seed of the mask |
| 33 and 34 | length of the certificate, little-endian |
| then | the certificate |
| last 64 | signature by the certificate's key, over `message` |
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedau2.wire.errors import IdentityError
from fedau2.wire.secure.masks import SEED

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.hpke import Suite

LARGEST = 4096
"""Most bytes of a sealed opening."""

_VERSION, _SIGNATURE = 1, 64
_HEAD = struct.Struct(f"<B{SEED}sH")
_MESSAGE = b"fedau2 contribution v1\0"
_INFO = b"fedau2 opening v1\0"
_ANSWER = b"fedau2 opened sum v1\0"


@dataclass(frozen=True)
class Bound:
    """The contribution that an opening belongs to. It opens no other.

    Attributes:
        context: hash of the round's `context.Context`, 32 bytes.
        lease: id of the assignment, 16 bytes.
        digest: SHA-256 of the packed masked vector.
    """

    context: bytes
    lease: bytes
    digest: bytes

    def joined(self) -> bytes:
        """Returns all of it in a row."""
        for part, length in ((self.context, 32), (self.lease, 16), (self.digest, 32)):
            if len(part) != length:
                raise ValueError(f"a part of a contribution's name has {len(part)} bytes instead of {length}")
        return self.context + self.lease + self.digest


@dataclass(frozen=True, repr=False)
class Opening:
    """An opening, as only the unmasker sees it.

    Attributes:
        seed: of the mask.
        certificate: of the device; not checked.
        signature: by the certificate's key, over `message`; not checked.
    """

    seed: bytes
    certificate: bytes
    signature: bytes


def message(bound: Bound, seed: bytes) -> bytes:
    """Returns what a device signs: that it made this contribution with this mask."""
    return _MESSAGE + bound.joined() + hashlib.sha256(b"seed" + seed).digest()


def seal(bound: Bound, seed: bytes, certificate: bytes, key: "Ed25519PrivateKey", round_key: bytes) -> bytes:
    """Seals the seed of a contribution to the key of its round. A second call gives other bytes.

    Args:
        bound: the contribution.
        seed: 32 bytes, which the caller then forgets.
        certificate: of the device.
        key: the device's, which the certificate names.
        round_key: the unmasker's public key of the round, 32 bytes.

    Raises:
        IdentityError: the round's key is not a public key.
        ImportError: `cryptography` is not installed, or older than 47.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    body = _HEAD.pack(_VERSION, seed, len(certificate)) + certificate + key.sign(message(bound, seed))
    try:
        return _suite().encrypt(body, X25519PublicKey.from_public_bytes(round_key), _INFO + bound.joined())
    except ValueError as error:
        raise IdentityError("the round's key is not an X25519 public key") from error


def unseal(sealed: bytes, bound: Bound, key: "X25519PrivateKey") -> Opening:
    """Opens what a device sealed for a contribution.

    Raises:
        IdentityError: it was not sealed to this key for this contribution, or is not an opening.
    """
    from cryptography.exceptions import InvalidTag

    try:
        body = _suite().decrypt(sealed, key, _INFO + bound.joined())
    except (InvalidTag, ValueError) as error:
        raise IdentityError("the opening was sealed for something else, or is damaged") from error
    if len(body) < _HEAD.size + _SIGNATURE:
        raise IdentityError(f"an opening of {len(body)} bytes is too short")
    version, seed, length = _HEAD.unpack(body[: _HEAD.size])
    if version != _VERSION or len(body) != _HEAD.size + length + _SIGNATURE:
        raise IdentityError("the opening has a version or a length that this fedau2 does not know")
    return Opening(seed, body[_HEAD.size : -_SIGNATURE], body[-_SIGNATURE:])


def answer(context: bytes, members: bytes, withheld: bytes, masks: bytes) -> bytes:
    """Returns what the unmasker's identity key signs when it opens a sum.

    Args:
        context: hash of the round's context.
        members: hash of the set, from `context.set_hash`.
        withheld: as in `OpenedSum`.
        masks: SHA-256 of the packed sum of the masks.
    """
    return _ANSWER + context + members + hashlib.sha256(withheld).digest() + masks


def _suite() -> "Suite":
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
