"""RSA blind signatures: RSABSSA-SHA384-PSS-Randomized of RFC 9474, for keys with the public exponent 65537.

A signer who signs a blinded message learns nothing of the signature that comes of it, so it cannot tell later whom it
has signed for. The functions of a device need neither a package nor a private key. Their arithmetic is on Python's
integers, whose time depends on the values: a device blinds once with fresh randomness, and `sign` blinds its operand.
"""

import hashlib
import math
import secrets
from dataclasses import dataclass

from fedau2.wire.errors import BlindSignatureError

EXPONENT = 65537
"""The public exponent."""

SIZE = 256
"""Bytes of a modulus, of a blinded message and of a signature: 2048 bits."""

PREFIX = 32
"""Random bytes before the message."""

_HASH = SALT = 48
"""Bytes of SHA-384, and of the salt."""


@dataclass(frozen=True)
class Blinded:
    """A message that was blinded, and what unblinds its signature. It is for one device alone.

    Attributes:
        modulus: of the key that shall sign it.
        message: the prepared message: random bytes, then the message.
        blinded: the bytes for the signer.
        inverse: unblinds the signature.
    """

    modulus: bytes
    message: bytes
    blinded: bytes
    inverse: int


def blind(
    modulus: bytes, message: bytes, prefix: bytes | None = None, salt: bytes | None = None, factor: int | None = None
) -> Blinded:
    """Prepares and blinds a message.

    Args:
        modulus: of the signer's key, big-endian.
        message: any bytes.
        prefix: random bytes that come before the message. Test vectors fix this and the next two; None: fresh ones.
        salt: random bytes of the encoding.
        factor: random number that blinds.

    Raises:
        BlindSignatureError: the modulus cannot be one.
    """
    n = _modulus(modulus)
    prepared = (secrets.token_bytes(PREFIX) if prefix is None else prefix) + message
    encoded = _encoded(prepared, n.bit_length() - 1, secrets.token_bytes(SALT) if salt is None else salt)
    number = int.from_bytes(encoded)
    if math.gcd(number, n) != 1:
        raise BlindSignatureError("the modulus shares a factor with a message: it cannot be that of an RSA key")
    if factor is None:
        factor = secrets.randbelow(n - 1) + 1
    try:
        inverse = pow(factor, -1, n)
    except ValueError as error:
        raise BlindSignatureError("the modulus shares a factor with a random number") from error
    return Blinded(modulus, prepared, (number * pow(factor, EXPONENT, n) % n).to_bytes(len(modulus)), inverse)


def finish(blinded: Blinded, signature: bytes) -> bytes:
    """Unblinds a signature.

    Raises:
        BlindSignatureError: the signer has not signed what was blinded.
    """
    n = int.from_bytes(blinded.modulus)
    if len(signature) != len(blinded.modulus) or int.from_bytes(signature) >= n:
        raise BlindSignatureError(f"a blind signature of {len(signature)} bytes is not one of this key")
    unblinded = (int.from_bytes(signature) * blinded.inverse % n).to_bytes(len(blinded.modulus))
    if not verify(blinded.modulus, blinded.message, unblinded):
        raise BlindSignatureError("the blind signature is not one of what was blinded")
    return unblinded


def verify(modulus: bytes, message: bytes, signature: bytes) -> bool:
    """Returns whether a signature is one of a prepared message by the key with this modulus."""
    n = _modulus(modulus)
    if len(signature) != len(modulus) or int.from_bytes(signature) >= n:
        return False
    bits = n.bit_length() - 1
    size = (bits + 7) // 8
    number = pow(int.from_bytes(signature), EXPONENT, n)
    if number.bit_length() > bits:
        return False
    encoded = number.to_bytes(size)
    masked, digest = encoded[: -_HASH - 1], encoded[-_HASH - 1 : -1]
    block = int.from_bytes(_xor(masked, _mask(digest, len(masked)))) & ((1 << (bits - 8 * (_HASH + 1))) - 1)
    salt = (block & ((1 << 8 * SALT) - 1)).to_bytes(SALT)
    return _encoded(message, bits, salt) == encoded


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """The numbers of a private key with the public exponent 65537.

    Attributes:
        p: a prime factor of the modulus.
        q: the other.
        d: the private exponent.
    """

    p: int
    q: int
    d: int

    @property
    def modulus(self) -> bytes:
        """The modulus, big-endian."""
        n = self.p * self.q
        return n.to_bytes((n.bit_length() + 7) // 8)

    def sign(self, blinded: bytes) -> bytes:
        """Signs a blinded message. The same message always has the same signature.

        Raises:
            BlindSignatureError: no message of this key is blinded to this.
        """
        n = self.p * self.q
        number = int.from_bytes(blinded)
        if len(blinded) != len(self.modulus) or number >= n:
            raise BlindSignatureError(f"a blinded message of {len(blinded)} bytes is not for this key")
        factor = secrets.randbelow(n - 2) + 2  # so that the time reveals nothing of the key
        hidden = number * pow(factor, EXPONENT, n) % n
        by_p, by_q = pow(hidden, self.d % (self.p - 1), self.p), pow(hidden, self.d % (self.q - 1), self.q)
        signed = by_q + self.q * ((by_p - by_q) * pow(self.q, -1, self.p) % self.p)
        signature = signed * pow(factor, -1, n) % n
        if pow(signature, EXPONENT, n) != number:  # a fault of the machine would show the factors
            raise BlindSignatureError("the signature came out wrong, and was not given out")
        return signature.to_bytes(len(blinded))


def _modulus(modulus: bytes) -> int:
    n = int.from_bytes(modulus)
    if not n % 2 or n.bit_length() != 8 * len(modulus) or n.bit_length() < 8 * SIZE:
        raise BlindSignatureError(f"a modulus of {n.bit_length()} bits in {len(modulus)} bytes is not one of this kind")
    return n


def _encoded(message: bytes, bits: int, salt: bytes) -> bytes:
    """EMSA-PSS-ENCODE of RFC 8017, section 9.1.1."""
    size = (bits + 7) // 8
    digest = hashlib.sha384(bytes(8) + hashlib.sha384(message).digest() + salt).digest()
    block = b"\x01" + salt
    block = bytes(size - _HASH - 1 - len(block)) + block
    masked = int.from_bytes(_xor(block, _mask(digest, len(block)))) & ((1 << (bits - 8 * (_HASH + 1))) - 1)
    return masked.to_bytes(len(block)) + digest + b"\xbc"


def _mask(seed: bytes, size: int) -> bytes:
    """MGF1 with SHA-384 of RFC 8017, appendix B.2.1."""
    blocks = (hashlib.sha384(seed + number.to_bytes(4)).digest() for number in range(-(-size // _HASH)))
    return b"".join(blocks)[:size]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right, strict=True))
