"""The certificate of a device: 130 bytes. A certificate has one way to be written, so its bytes can be compared.

| bytes | what |
|---|---|
| 0 | version, 1 |
| 1 | class of the evidence |
| 2 to 17 | pseudonym, random |
| 18 to 49 | public key of the device |
| 50 to 57 | second since 1970 from which it is valid, little-endian |
| 58 to 65 | second from which it is valid no more |
| 66 to 129 | signature of the authority, over `CONTEXT` and all bytes before |
"""

import struct
from dataclasses import dataclass
from typing import Self

from fedau2.wire.errors import IdentityError

SIZE = 130
PSEUDONYM = 16
LONGEST = 90 * 86400
"""Most seconds that a certificate is valid."""

EARLY = 3600
"""Seconds before its issue in which a certificate is valid already: clocks are set back now and then."""

CONTEXT = b"fedau2 certificate v1\0"

_VERSION = 1

CLASSES = (1, 2, 3)
"""The numbers of `EvidenceClass` in `unmasker.proto`, whose messages most clients never load."""

_BODY = struct.Struct("<BB16s32sQQ")


@dataclass(frozen=True)
class Certificate:
    """The unmasker's word on a device.

    Attributes:
        evidence_class: the kind of evidence by which the device has shown that it is one of the app's.
        pseudonym: 16 random bytes, which stay when the certificate is renewed.
        public_key: 32 bytes, Ed25519.
        issued: second since 1970 from which it is valid.
        expires: second from which it is valid no more, at most 90 days later.
    """

    evidence_class: int
    pseudonym: bytes
    public_key: bytes
    issued: int
    expires: int

    def body(self) -> bytes:
        """Returns the bytes that come before the signature."""
        return _BODY.pack(_VERSION, self.evidence_class, self.pseudonym, self.public_key, self.issued, self.expires)

    def message(self) -> bytes:
        """Returns what the authority signs."""
        return CONTEXT + self.body()

    def current(self, now: float) -> bool:
        """Returns True if it is valid at a time, in seconds since 1970."""
        return self.issued - EARLY <= now < self.expires

    @classmethod
    def read(cls, data: bytes) -> tuple[Self, bytes]:
        """Returns a certificate and its signature, which is not checked.

        Raises:
            IdentityError: these bytes are not a certificate.
        """
        if len(data) != SIZE:
            raise IdentityError(f"a certificate has {SIZE} bytes, not {len(data)}")
        version, evidence_class, *fields = _BODY.unpack(data[: _BODY.size])
        if version != _VERSION:
            raise IdentityError(f"the certificate has version {version}, and this fedau2 knows version {_VERSION}")
        if evidence_class not in CLASSES:
            raise IdentityError(f"the certificate names evidence of the class {evidence_class}, which is not known")
        certificate = cls(evidence_class, *fields)
        if not 0 < certificate.expires - certificate.issued <= LONGEST:
            raise IdentityError("the certificate is valid for no time, or for more than 90 days")
        return certificate, data[_BODY.size :]
